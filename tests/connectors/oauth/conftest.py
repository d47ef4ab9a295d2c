"""A venue with our application, for the tests of OAuth."""

from collections.abc import Iterator

import pytest

from apps.connectors.services import venue as venues
from tests.factories.oauth import OAuthSimulator


@pytest.fixture(scope="session")
def oauth_process() -> Iterator[OAuthSimulator]:
    process = OAuthSimulator()
    process.start()
    try:
        yield process
    finally:
        venues.close_all()
        process.stop()


@pytest.fixture
def venue(oauth_process: OAuthSimulator) -> Iterator[OAuthSimulator]:
    """Fresh, and registered in the settings."""
    oauth_process.reset()
    with oauth_process.registered():
        yield oauth_process
    oauth_process.clear_faults()
    venues.close_all()
