"""An answer's bytes: the shortest JSON in UTF-8, and only of what JSON says without a doubt."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.api.views import to_json
from apps.connectors.types import Side

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | st.sampled_from(Side),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(value=VALUES)
def test_it_is_what_the_standard_library_writes(value: Any) -> None:
    """Stored answers are given again byte by byte, whoever wrote them."""
    assert to_json(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC), b"bytes", {1: "x"}, "\ud800"])
def test_what_is_not_worded_yet_is_refused(value: Any) -> None:
    assert to_json({"value": "worded"}) == b'{"value":"worded"}'
    with pytest.raises(TypeError):
        to_json({"value": value})
