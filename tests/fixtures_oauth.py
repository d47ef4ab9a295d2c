"""A venue at which we are registered for OAuth: one process for the session, reset before each test that uses it."""

from collections.abc import Iterator

import pytest

from apps.connectors.services import venue as venues
from tests.factories.oauth import OAuthSimulator


@pytest.fixture(scope="session")
def oauth_process() -> Iterator[OAuthSimulator]:
    """The one process of this session. Take `oauth_venue` instead."""
    process = OAuthSimulator()
    process.start()
    try:
        yield process
    finally:
        venues.close_all()
        process.stop()


@pytest.fixture
def oauth_venue(oauth_process: OAuthSimulator) -> Iterator[OAuthSimulator]:
    """Nobody ever consented there, and it stands in the settings."""
    oauth_process.reset()
    with oauth_process.registered():
        yield oauth_process
    oauth_process.clear_faults()
    venues.close_all()
