"""Here `venue` is the one with OAuth."""

import pytest

from tests.factories.oauth import OAuthSimulator


@pytest.fixture
def venue(oauth_venue: OAuthSimulator) -> OAuthSimulator:
    return oauth_venue
