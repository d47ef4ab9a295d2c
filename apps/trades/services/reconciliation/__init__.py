"""Comparing a connection's rows with its venue. The venue wins on facts; every difference is kept."""
