"""An answer's bytes: the shortest JSON in UTF-8, and only of what was worded before."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from apps.common.api.views import to_json
from apps.connectors.types import Side


def test_it_is_short_and_in_utf_8() -> None:
    assert (
        to_json({"side": Side.BUY, "items": [1, None, True, "ü"]})
        == '{"side":"BUY","items":[1,null,true,"ü"]}'.encode()
    )


@pytest.mark.parametrize(
    "value", [Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC), b"bytes", UUID(int=1), float("nan"), "\ud800"]
)
def test_what_is_not_worded_yet_is_refused(value: Any) -> None:
    assert to_json({"value": "worded"}) == b'{"value":"worded"}'
    with pytest.raises((TypeError, ValueError)):
        to_json({"value": value})
