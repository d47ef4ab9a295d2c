"""A trading venue in one process, speaking the wire protocol of Coinbase Advanced Trade.

It is a stranger on purpose: it shares no code with the production connector, so that both are held to the recorded
payloads and neither can hide the other's mistake. It imports no Django; `python -m apps.connectors.simulator` starts
in well under a second.
"""
