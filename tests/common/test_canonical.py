"""One text for one meaning."""

import enum
import json
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common import canonical


class Side(enum.StrEnum):
    BUY = "BUY"


class Choice(str, enum.Enum):  # noqa: UP042  the shape of Django's TextChoices, whose str() is not its value
    SELL = "SELL"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-canonical.INT_MAX, canonical.INT_MAX)
    | texts
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**19), max_value=10**19)
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.dates()
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz_"), inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(st.text("abcxyz_", min_size=1), values, max_size=6)


def test_the_bytes_are_these() -> None:
    raw = canonical.encode(
        "aika.terms/1",
        {
            "side": Side.BUY,
            "other": Choice.SELL,
            "quantity": Decimal("1.100"),
            "big": Decimal("1E+3"),
            "zero": Decimal("-0.00"),
            "at": datetime(2026, 11, 22, 21, 28, tzinfo=timezone(timedelta(hours=2))),
            "on": date(2026, 1, 2),
            "id": UUID(int=5),
            "n": 3,
            "flags": (True, None),
            "text": "Zu\u0308rich",
            "nested": {"b": 1, "a": 2},
        },
    )
    assert raw.decode() == (
        '{"schema":"aika.terms/1","at":"2026-11-22T19:28:00.000000Z","big":"1000","flags":[true,null],'
        '"id":"00000000-0000-0000-0000-000000000005","n":3,"nested":{"a":2,"b":1},"on":"2026-01-02","other":"SELL",'
        '"quantity":"1.1","side":"BUY","text":"Z\u00fcrich","zero":"0"}'
    )


@given(objects)
def test_what_was_read_back_encodes_to_the_same_bytes(value: dict[str, Any]) -> None:
    raw = canonical.encode("test/1", value)
    read = canonical.decode(raw)
    assert read.pop("schema") == "test/1"
    assert canonical.encode("test/1", read) == raw


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-canonical.INT_MAX, canonical.INT_MAX)
        | st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\\x07é', min_size=1), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_the_bytes_are_those_of_the_plain_writer(value: Any) -> None:
    """Whatever the text holds: quotes, control characters, letters of any script."""
    value = json.loads(unicodedata.normalize("NFC", json.dumps(value, ensure_ascii=False)))
    plain = json.dumps({"schema": "x/1", "value": value}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert canonical.encode("x/1", {"value": value}) == plain.encode()


@given(objects, st.randoms())
def test_the_order_of_keys_changes_nothing(value: dict[str, Any], random: Any) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert canonical.encode("test/1", dict(shuffled)) == canonical.encode("test/1", value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**19), max_value=10**19), st.integers(0, 8))
def test_equal_decimals_have_equal_bytes(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, (*digits, *(0,) * zeros), exponent - zeros))
    assert padded == number
    assert canonical.encode("test/1", {"n": padded}) == canonical.encode("test/1", {"n": number})


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), {1, 2}, b"bytes", object(), datetime(2026, 1, 1), {1: "key"}, [1.0], timedelta(1)],  # noqa: DTZ001
)
def test_what_has_no_canonical_form_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical.encode("test/1", {"value": value})


@pytest.mark.parametrize(
    "value",
    [
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1E+999"),
        2**53,
        -(2**53),
        "\ud800",
        ["\ud800"],
        {"\ud800": 1},
        {"e\u0301": 1, "\u00e9": 2},
    ],
)
def test_what_cannot_be_said_exactly_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        canonical.encode("test/1", {"value": value})


def test_too_deep_is_refused_and_deep_enough_is_not() -> None:
    nested: dict[str, Any] = {}
    for _ in range(canonical.DEPTH_MAX):
        nested = {"in": nested}
    canonical.encode("test/1", nested)
    with pytest.raises(ValueError):
        canonical.encode("test/1", {"in": nested})


def test_the_schema_leads_and_is_nobody_elses_key() -> None:
    with pytest.raises(ValueError):
        canonical.encode("test/1", {"schema": "test/2"})
    with pytest.raises(ValueError):
        canonical.encode("", {})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"a":1}',
        b'{"schema":1}',
        b'{"schema":""}',
        b'{"schema":"a","b":1,"b":2}',
        b'{"schema":"a","b":{"c":1,"c":1}}',
        b'{"schema":"a","b":1.0}',
        b'{"schema":"a","b":1e3}',
        b'{"schema":"a","b":NaN}',
        b'{"schema":"a","b":Infinity}',
        b'{"schema":"a","b":9007199254740992}',
        b'{"schema":"a\xff"}',
        b'{"schema":"a","b":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"schema":"a","b":' + b"9" * 5_000 + b"}",
        json.dumps({"schema": "a"}).encode("utf-16"),
    ],
)
def test_bytes_that_encode_cannot_have_written_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        canonical.decode(raw)


def _read_naively(raw: bytes) -> object:
    """The slow and plain reader: Python's own, each number and each object looked at."""

    def refuse(text: str) -> int:
        raise ValueError(text)

    def small(text: str) -> int:
        return int(text) if abs(int(text)) <= canonical.INT_MAX else refuse(text)

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else {"schema": refuse("twice")}

    hooks = {"parse_float": refuse, "parse_constant": refuse, "parse_int": small, "object_pairs_hook": once}
    return json.loads(raw.decode(), **hooks)


numbers = st.sampled_from(["1.0", "1e3", "-0", "0", "7", "9007199254740991", "9007199254740992", "-9007199254740993",
                           "18446744073709551616", "NaN", "-Infinity", "1.7976931348623157e309", "01"])  # fmt: skip
literals = st.sampled_from(["null", "true", "false", '"a.1e5"', '"\\u00e9"', '"\u00e9"', '"\\/"', '"\\ud800"', '" "'])
names = st.sampled_from(["a", "b", "\\u0061", "schema"])
written = st.recursive(
    numbers | literals,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(names, inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f'"{name}":{item}' for name, item in pairs) + "}"
        )
    ),
    max_leaves=6,
)


@given(st.lists(st.tuples(names, written), max_size=3), st.sampled_from(["", " ", "\n", "}", "x"]))
def test_reading_is_as_strict_as_the_plain_reader(pairs: list[tuple[str, str]], after: str) -> None:
    raw = ('{"schema":"a"' + "".join(f',"{name}":{item}' for name, item in pairs) + "}" + after).encode()
    try:
        expected = _read_naively(raw) if not after.isspace() else None
    except ValueError:
        expected = None
    if expected is None:
        with pytest.raises(ValueError):
            canonical.decode(raw)
    else:
        read = canonical.decode(raw)
        assert read == expected
        assert str(read) == str(expected)  # 1, 1.0 and True are equal, and not the same


def test_the_digest_is_sha256_in_hex() -> None:
    assert canonical.digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(objects, st.text("abcxyz_", min_size=1), values)
def test_a_part_encoded_before_gives_the_same_bytes(whole: dict[str, Any], name: str, part: object) -> None:
    as_it_is = canonical.encode("aika.test/1", {**whole, name: part})
    assert canonical.encode("aika.test/1", {**whole, name: canonical.encoded(part)}) == as_it_is


@pytest.mark.parametrize("where", [{"a": {"b": canonical.encoded("x")}}, {"a": [canonical.encoded("x")]}])
def test_an_encoded_part_stands_at_the_top_only(where: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        canonical.encode("aika.test/1", where)


@given(st.lists(st.tuples(texts, st.none() | texts, st.sampled_from(["ASCII", Side.BUY]))))
def test_rows_of_texts_have_the_same_bytes_by_the_short_way(rows: list[tuple[str | None, ...]]) -> None:
    names = ("code", "message", "room_left")
    assert canonical.table(names, rows) == canonical.encoded([dict(zip(names, row, strict=True)) for row in rows])


@pytest.mark.parametrize("value", [1.5, float("nan"), b"bytes", canonical.encoded("x")])
def test_a_row_of_something_else_is_refused_there_too(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical.table(("code",), [("ASCII",), (value,)])


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(0)), timezone(timedelta(hours=2))])
def test_an_instant_has_one_text_whatever_says_its_offset(zone: timezone) -> None:
    instant = datetime(2026, 11, 22, 14, 0, 0, 7, tzinfo=UTC).astimezone(zone)
    assert canonical.encoded(instant) == '"2026-11-22T14:00:00.000007Z"'
