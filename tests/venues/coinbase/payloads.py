"""The recorded payloads beside this file (their kinds and sources: README.md)."""

from pathlib import Path

from apps.connectors.venues.coinbase import wire

HERE = Path(__file__).parent


def raw(name: str) -> bytes:
    return (HERE / f"{name}.json").read_bytes()


def load(name: str) -> wire.Row:
    return wire.decode(raw(name))
