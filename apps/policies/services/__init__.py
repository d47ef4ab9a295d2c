"""Writes of policy: decisions on record, versions, the trading state."""
