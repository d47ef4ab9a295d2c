"""Templates: read strictly when saved, filled exactly, and never more than copying."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.common.api.bodies import parse_json
from apps.common.decimals import decimal_text
from apps.common.errors import Invalid
from apps.trades.forms import EXAMPLE_BODY, EXAMPLE_TEMPLATE, preview
from apps.trades.rules import hooks as rules
from tests.hooks.conftest import TEMPLATE

BASE = {"instrument": "BTC-USD", "side": "BUY", "order_type": "MARKET", "time_in_force": "IOC", "quantity": "1"}


def filled(template: dict[str, Any], payload: Any) -> dict[str, object]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return rules.fill(rules.read_template(template), parse_json(raw, number=rules.Digits))


def test_constants_and_references() -> None:
    found = filled(TEMPLATE, {"ticker": "BTCUSD", "order": {"action": "sell", "size": "2"}, "price": 7, "alert": "A"})
    assert found == {
        "instrument": "BTC-USD",
        "side": "SELL",
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "quantity": "2",
        "limit_price": "7",
        "rationale": "A on btcusd",
    }
    assert filled({**BASE, "post_only": True, "valid_for_s": 60}, {})["valid_for_s"] == 60
    assert filled({**BASE, "post_only": "{{ flags.0 }}"}, {"flags": [False]})["post_only"] is False
    assert filled({**BASE, "rationale": "{{ a }}{{ b }} {{ c }}"}, {"a": True, "b": 1, "c": 2.5})["rationale"] == (
        "true1 2.5"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"connection": "other"},
        {"supersedes": "x"},
        {"tags": ["x"]},
        {"not_after": "2030-01-01T00:00:00Z"},
        {"side": None},
        {"side": ["BUY"]},
        {"quantity": 1},
        {"quantity": "1e3"},
        {"quantity": "NaN"},
        {"quantity": "{{ a }}{{ b }}"},
        {"quantity": "1{{ a }}"},
        {"quote_quantity": "1"},
        {"side": "{{ }}"},
        {"side": "{{ a b }}"},
        {"side": "{{ a.__class__() }}"},
        {"side": "{{ a.b.c.d.e }}"},
        {"side": "{{ a | eval }}"},
        {"side": "{{ a | map:nope }}"},
        {"side": "{{ a | }}"},
        {"side": "{{ a"},
        {"side": "a }}"},
        {"side": "{{ {{ a }} }}"},
        {"side": "x" * 5000},
        {"post_only": "true"},
        {"valid_for_s": True},
        {"valid_for_s": "60"},
        {"maps": []},
        {"maps": {"s": {"A": 1}}},
        {"maps": {"S x": {}}},
        {"maps": {"s": {str(n): "" for n in range(201)}}},
    ],
)
def test_a_template_that_says_something_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="HOOK_TEMPLATE_WRONG"):
        rules.read_template({**BASE, **change})


@pytest.mark.parametrize("name", ["instrument", "side", "order_type", "time_in_force", "quantity"])
def test_what_a_proposal_needs_must_be_there(name: str) -> None:
    with pytest.raises(Invalid, match="HOOK_TEMPLATE_WRONG"):
        rules.read_template({key: value for key, value in BASE.items() if key != name})


def test_the_secret_is_no_place_to_refer_to() -> None:
    for path in ("secret", "secret.deep"):
        with pytest.raises(Invalid, match="refers to the secret"):
            rules.read_template({**BASE, "rationale": f"{{{{ {path} }}}}"}, secret_path="secret")
    assert rules.read_template({**BASE, "rationale": "{{ secrets }}"}, secret_path="secret")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**12))
@settings(max_examples=60)
def test_a_number_comes_out_as_it_was_written(number: Decimal) -> None:
    """However a sender writes it: as a text, as a number, with an exponent."""
    template = {**BASE, "quantity": "{{ size }}"}
    for digits in (format(number, "f"), f"{number.scaleb(3):f}e-3"):
        raw = b'{"size": ' + digits.encode() + b"}"
        assert filled(template, raw)["quantity"] == decimal_text(number)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
_REFERENCES = st.sampled_from(["{{ a }}", "{{ a.b | upper }}", "{{ a.0 | trim }}", "{{ b.c | map:m }}", "{{c|lower}}"])


@given(payload=_JSON, references=st.lists(_REFERENCES, min_size=5, max_size=5))
@settings(max_examples=120)
def test_whatever_is_sent_a_value_of_it_comes_out_or_a_refusal(payload: Any, references: list[str]) -> None:
    template = {**dict(zip(BASE, references, strict=True)), "maps": {"m": {"x": "y"}}}
    try:
        raw = json.dumps(payload).encode()
        found = rules.fill(rules.read_template(template), parse_json(raw, number=rules.Digits))
    except Invalid as error:
        assert error.code
        return
    assert set(found) == set(BASE)
    assert all(isinstance(value, str | int) for value in found.values())


def test_the_example_of_the_form_works() -> None:
    shown = preview(json.loads(EXAMPLE_TEMPLATE), EXAMPLE_BODY)
    assert (shown.problem, dict(shown.rows)["side"]) == ("", "BUY")


NO_HMAC = "0" * 64
WRONG = (
    *("", "t=1", f"v1={NO_HMAC}", f"t=-1,v1={NO_HMAC}", f"t=1,v1={NO_HMAC[1:]}", f"t=1,v1={NO_HMAC},v1=x"),
    *(f"t={'9' * 12},v1={NO_HMAC}", f"t=\u0661,v1={NO_HMAC}", f"t=1,v1={NO_HMAC[1:]}\u0661"),
)


@pytest.mark.parametrize("header", WRONG)
def test_a_header_that_is_no_signature(header: str) -> None:
    assert rules.read_signature(header) is None


def test_the_latest_time_a_header_can_name_is_a_time() -> None:
    assert rules.read_signature(f"t={'9' * 11},v1={NO_HMAC}") is not None
