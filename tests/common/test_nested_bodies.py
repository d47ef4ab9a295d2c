"""Objects inside a body are read as strictly as the body, and what is wrong in them is named with its place."""

from typing import Any

import pytest

from apps.common.api.bodies import Body, Integer, Text
from apps.common.api.nested import Each, Object, Objects
from apps.common.api.problems import InvalidBody
from apps.common.errors import Invalid


class Inner(Body):
    name = Text(chars_max=5, chars_min=1, required=True)
    count = Integer(minimum=0, maximum=9, default=0)


class Outer(Body):
    one = Object(Inner)
    many = Objects(Inner, count_min=1, count_max=2)


class Lenient(Body):
    many = Each(Inner, count_min=1, count_max=2, required=True)


def test_of_several_read_each_for_itself_one_that_is_wrong_stands_for_itself() -> None:
    good, bad = Lenient.read({"many": [{"name": "a"}, {"name": "a", "count": 10}]})["many"]
    assert good == {"name": "a", "count": 0}
    assert (bad.code, bad.field) == ("NUMBER_OUT_OF_RANGE", "count")
    for wrong, code in (([], "TOO_FEW_ITEMS"), ([{"name": "a"}] * 3, "TOO_MANY_ITEMS"), ("a", "WRONG_TYPE")):
        with pytest.raises(Invalid) as refused:
            Lenient.read({"many": wrong})
        assert (refused.value.code, refused.value.field) == (code, "many")


def test_what_is_left_out_has_its_default() -> None:
    assert Outer.read({}) == {"one": None, "many": ()}
    assert Outer.read({"one": {"name": "a"}, "many": [{"name": "b", "count": 2}]}) == {
        "one": {"name": "a", "count": 0},
        "many": ({"name": "b", "count": 2},),
    }


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"one": []}, "WRONG_TYPE", "one"),
        ({"one": {"name": "too long"}}, "TEXT_TOO_LONG", "one.name"),
        ({"one": {}}, "FIELD_MISSING", "one.name"),
        ({"one": {"name": "a", "nam": "b"}}, "UNKNOWN_FIELD", "one.nam"),
        ({"many": {"name": "a"}}, "WRONG_TYPE", "many"),
        ({"many": []}, "TOO_FEW_ITEMS", "many"),
        ({"many": [{"name": "a"}] * 3}, "TOO_MANY_ITEMS", "many"),
        ({"many": [{"name": "a"}, "b"]}, "WRONG_TYPE", "many[1]"),
        ({"many": [{"name": "a"}, {"name": "b", "count": 10}]}, "NUMBER_OUT_OF_RANGE", "many[1].count"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(body: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        Outer.read(body)
    assert (refused.value.code, refused.value.field) == (code, field)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidBody) as refused:
        Outer.read({"one": {"name": "too long", "count": "1"}, "two": 1})
    assert [one.field for one in refused.value.errors] == ["two", "one.name", "one.count"]
