"""What the database refuses, whoever asks: on SQLite here, on PostgreSQL in the server run."""

import pytest

from apps.policies.models import TradingState

pytestmark = pytest.mark.django_db


def test_trading_begins_active() -> None:
    assert TradingState.objects.get(pk="global").state == "ACTIVE"
