"""Fixtures of the runs in processes of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.commands import Manage, managing


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def variables() -> dict[str, str]:
    """What a module wants its commands' environment to say besides."""
    return {}


@pytest.fixture
def manage(home: Path, variables: dict[str, str]) -> Iterator[Manage]:
    """Start a management command on a data folder of its own."""
    with managing(home, variables) as begin:
        yield begin
