"""What a parameter may be, at each bound and one step beyond it."""

from collections.abc import Callable
from decimal import Decimal
from operator import methodcaller

import pytest

from apps.common.errors import Invalid
from apps.policies.rules.params import Params

COLOURS = frozenset({"blue", "red"})
MANY = [f"w{number}" for number in range(500)]
Read = Callable[[Params], object]

AMOUNT = methodcaller("amount", "n")
BPS = methodcaller("bps", "n")
FRACTION = methodcaller("fraction", "n")
WHOLE = methodcaller("whole", "n", low=2, high=7)
WHOLE_OR_5 = methodcaller("whole", "n", low=2, high=7, default=5)
FLAG = methodcaller("flag", "n")
CHOICE = methodcaller("choice", "n", COLOURS)
WORDS = methodcaller("words", "n")
OF_CHOICES = methodcaller("words", "n", COLOURS)
WORDS_OR_NONE = methodcaller("words", "n", needed=False)


def count(params: Params) -> int:
    return len(params.items("n"))


TAKEN = [
    (AMOUNT, "0.00000001", Decimal("0.00000001")),
    (AMOUNT, "1", Decimal(1)),
    (BPS, "9999", Decimal(9_999)),
    (FRACTION, "0.99999999", Decimal("0.99999999")),
    (WHOLE, "2", 2),
    (WHOLE, "7", 7),
    (WHOLE_OR_5, None, 5),
    (FLAG, None, False),
    (FLAG, True, True),
    (CHOICE, "red", "red"),
    (WORDS, ["a"], {"a"}),
    (WORDS, MANY, set(MANY)),
    (WORDS, ["x" * 64], {"x" * 64}),
    (OF_CHOICES, ["red", "blue"], COLOURS),
    (WORDS_OR_NONE, None, set()),
    (WORDS_OR_NONE, ["a"], {"a"}),
    (count, [{}], 1),
    (count, [{}] * 500, 500),
]
REFUSED = [
    (AMOUNT, None),
    (AMOUNT, "0"),
    (AMOUNT, "-1"),
    (BPS, "9999.00000001"),
    (FRACTION, "1"),
    (WHOLE, None),
    (WHOLE, "1"),
    (WHOLE, "8"),
    (FLAG, "true"),
    (CHOICE, "green"),
    (CHOICE, None),
    (CHOICE, ["red"]),
    (WORDS, None),
    (WORDS, []),
    (WORDS, "a"),
    (WORDS, [*MANY, "more"]),
    (WORDS, [""]),
    (WORDS, ["x" * 65]),
    (WORDS, [" a"]),
    (WORDS, [1]),
    (WORDS, ["a", "a"]),
    (OF_CHOICES, ["red", "green"]),
    (WORDS_OR_NONE, []),
    (count, None),
    (count, []),
    (count, {"a": {}}),
    (count, [{}] * 501),
]


@pytest.mark.parametrize(("read", "value", "taken"), TAKEN)
def test_what_is_taken(read: Read, value: object, taken: object) -> None:
    assert read(Params({"n": value})) == taken
    if value is None:
        assert read(Params({})) == taken


@pytest.mark.parametrize(("read", "value"), REFUSED)
def test_what_is_refused_by_the_name_of_its_field(read: Read, value: object) -> None:
    for values in ({"n": value}, *([{}] if value is None else [])):
        with pytest.raises(Invalid) as error:
            read(Params(values))
        assert (error.value.code, error.value.field) == ("RULE_PARAMS_INVALID", "n")


@pytest.mark.parametrize("read", [AMOUNT, WHOLE])
@pytest.mark.parametrize("values", [{}, {"n": None}])
def test_what_is_missing_is_said_to_be_needed(read: Read, values: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="is needed"):
        read(Params(values))


@pytest.mark.parametrize(("where", "field"), [("", "params"), ("tiers[0].", "tiers[0].")])
def test_what_is_no_object_is_named_by_where_it_stands(where: str, field: str) -> None:
    with pytest.raises(Invalid) as error:
        Params([], where)  # type: ignore[arg-type]
    assert error.value.field == field


def test_an_amount_that_is_not_given_is_none() -> None:
    assert Params({"n": None}).amount_or_none("n") is None
    assert Params({}).bps_or_none("n") is None
    assert Params({"n": "3"}).amount_or_none("n") == Params({"n": "3"}).bps_or_none("n") == 3
