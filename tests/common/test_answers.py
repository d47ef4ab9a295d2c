"""An answer's bytes: the shortest JSON in UTF-8, and only of what was worded before."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    for within in ({"value": value}, {"items": [1, {"value": value}]}, [[value]]):
        with pytest.raises((TypeError, ValueError)):
            to_json(within)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | texts | st.just(Side.BUY)


@given(st.recursive(leaves, lambda part: st.lists(part) | st.dictionaries(texts | st.integers(), part), max_leaves=20))
def test_the_quick_way_and_the_strict_one_write_the_same(value: Any) -> None:
    strict = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    assert to_json(value) == strict
