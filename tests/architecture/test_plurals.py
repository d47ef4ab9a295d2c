"""Lists are named in English: no model leaves its plural to an "s" at the end where English writes "ies" or "es"."""

import re

import pytest
from django.apps import apps

NAIVE = re.compile(r"[^aeiou]ys$|(ss|x|ch|sh)s$", re.IGNORECASE)


@pytest.mark.parametrize("model", apps.get_models(), ids=lambda model: model._meta.label_lower)
def test_no_plural_is_just_the_name_and_an_s(model: type) -> None:
    plural = str(model._meta.verbose_name_plural)  # type: ignore[attr-defined]
    assert not NAIVE.search(plural), f"{plural!r}: set Meta.verbose_name_plural"


@pytest.mark.parametrize(
    ("plural", "is_naive"),
    [
        ("index entrys", True),
        ("inquirys", True),
        ("boxs", True),
        ("matchs", True),
        ("index entries", False),
        ("API keys", False),
        ("replays", False),
        ("candle series", False),
        ("addresses", False),
    ],
)
def test_what_is_naive_is_found(plural: str, is_naive: bool) -> None:
    assert bool(NAIVE.search(plural)) is is_naive
