"""What every test may use: a fixed moment, the people of one desk, and no way out of this machine."""

import gc
import ipaddress
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from apps.accounts.models import Desk, User
from apps.accounts.services import roles
from apps.lessons import index
from tests import pace
from tests.factories.accounts import DeskFactory, UserFactory

pytest_plugins = ["tests.fixtures_oauth", "tests.fixtures_simulator"]

# No deadline: a busy machine is not a bug. `.ci/run` asks for thorough, the fast run tries a sample.
hypothesis_settings.register_profile("fast", deadline=None, max_examples=25)
hypothesis_settings.register_profile("thorough", deadline=None, max_examples=120)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

NOW = datetime(2026, 3, 2, 14, 46, tzinfo=UTC)


def pytest_configure(config: pytest.Config) -> None:
    """Coverage is of the workers and not of each program that a test starts: those would all take twice as long."""
    if hasattr(config, "workerinput"):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long is left to .ci/run: `tests.pace` says what."""
    listed = pace.thorough()
    for item in items:
        if pace.function_of(item.nodeid) in listed:
            item.add_marker("thorough")


def pytest_collection_finish() -> None:
    """What is loaded by now stays: nobody looks for garbage in it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The roles' permissions, once for the whole run; `role` of the factory puts them back after a flush."""
    with django_db_blocker.unblock():
        roles.sync_roles(now=NOW)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that connects anywhere but to this machine fails and names the address."""
    for method in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, method, _guarded(getattr(socket.socket, method)))
    yield


@pytest.fixture(autouse=True)
def no_index_outlives_its_test() -> Iterator[None]:
    """A store that a test pointed at a server which is not there would be the store of the next one too."""
    yield
    index.close()


def _guarded(connect: Any) -> Any:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != getattr(socket, "AF_UNIX", None) and not _is_loopback(address[0]):
            raise AssertionError(f"A test tried to connect to {address[0]}:{address[1]}; only loopback is allowed.")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def now() -> datetime:
    """One aware moment for the whole test."""
    return NOW


@pytest.fixture
def desk(db: None) -> Desk:
    """The desk everybody but the outsider sits at."""
    return DeskFactory(slug="main", name="Main desk")


@pytest.fixture
def trader(desk: Desk) -> User:
    """May propose, never decide."""
    return UserFactory(username="tara", display_name="Tara Osei", role="trader", desk=desk)


@pytest.fixture
def approver(desk: Desk) -> User:
    """May decide and second."""
    return UserFactory(username="mara", display_name="Mara Lind", role="approver", desk=desk)


@pytest.fixture
def approver2(desk: Desk) -> User:
    """A second approver, for quorums of two."""
    return UserFactory(username="ravi", display_name="Ravi Menon", role="approver", desk=desk)


@pytest.fixture
def risk(desk: Desk) -> User:
    """May decide, second and draft policy."""
    return UserFactory(username="rosa", display_name="Rosa Kim", role="risk", desk=desk)


@pytest.fixture
def operator(desk: Desk) -> User:
    """May set up connections and keys."""
    return UserFactory(username="otis", display_name="Otis Vale", role="operator", desk=desk)


@pytest.fixture
def auditor(desk: Desk) -> User:
    """May read, and nothing else."""
    return UserFactory(username="aude", display_name="Aude Roux", role="auditor", desk=desk)


@pytest.fixture
def admin_user(desk: Desk) -> User:
    """A superuser without a role."""
    return UserFactory(username="admin", display_name="Ada Root", is_superuser=True, desk=desk)


@pytest.fixture
def outsider(db: None) -> User:
    """Staff, signed in, but without a role and without a desk: refused for who they are, not for how they came."""
    return UserFactory(username="olaf", display_name="Olaf Stranger")
