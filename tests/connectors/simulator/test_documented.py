"""The page names every fault and every door, and none that is not there."""

import re
from pathlib import Path

from apps.connectors.simulator.faults import MODIFIERS, Kind
from apps.connectors.simulator.socket_faults import SocketKind
from tests.connectors.simulator.test_admin import DOORS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "venue-simulator.md").read_text(encoding="utf-8")


def rows(section: str) -> dict[str, str]:
    """First cells of a section's table, and what follows the name in them."""
    _, _, rest = PAGE.partition(f"## {section}")
    return dict(re.findall(r"^\| `([^`]+)`( \*)? \|", rest.partition("\n## ")[0], re.MULTILINE))


def test_each_fault_of_requests() -> None:
    written = rows("Faults of requests")
    assert set(written) == {kind.value for kind in Kind}
    assert {name for name, mark in written.items() if mark} == {kind.value for kind in MODIFIERS}


def test_each_fault_of_sockets() -> None:
    assert set(rows("Faults of sockets")) == {kind.value for kind in SocketKind}


def test_each_door() -> None:
    doors = PAGE.partition("## ")[0]
    assert {path.removeprefix("/") for _, path in DOORS} == set(re.findall(r"^\| `(?:GET|POST) ([a-z/]+)", doors, re.M))
