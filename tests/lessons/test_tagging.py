"""The mistakes a text speaks of: from our own sentences, honest about none, and blind to what a sentence rules out."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lessons import embeddings
from apps.lessons.rules import tagging
from apps.lessons.rules.prototypes import prototypes
from apps.lessons.services.tagging import suggest, tags_of
from apps.lessons.types import MistakeTag, TagSource, TextKind

STATIC = "static"


def strongest(text: str) -> str:
    return next(iter(tags_of(text, embeddings.provider_named(STATIC))))


def test_every_tag_has_at_least_a_dozen_sentences_in_either_voice_and_none_twice() -> None:
    counted = Counter((one.tag, one.kind) for one in prototypes())
    assert all(counted[tag, kind] >= 12 for tag in MistakeTag for kind in TextKind)
    assert len({one.text for one in prototypes()}) == len(prototypes())


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Margin was called because the leverage was far too high for our equity.", MistakeTag.OVERSIZED),
        ("The quote we used was twenty minutes old.", MistakeTag.STALE_DATA),
        ("Add to the loser so that our mean price improves.", MistakeTag.AVERAGED_DOWN),
        ("Stay long right through the jobs report.", MistakeTag.HELD_EVENT),
        ("The contract ran out before we switched to the next month.", MistakeTag.ROLL_EXPIRY),
    ],
)
def test_words_of_ones_own_are_understood(text: str, tag: MistakeTag) -> None:
    assert strongest(text) == tag


def test_what_a_sentence_rules_out_is_not_what_the_text_speaks_of() -> None:
    told = "The quote was an hour old. This was not a case of revenge after a loss."
    provider = embeddings.provider_named(STATIC)
    assert strongest(told) == MistakeTag.STALE_DATA
    assert tags_of(told, provider)[MistakeTag.REVENGE] < 0.1
    assert tags_of("This had nothing to do with revenge.", provider) == {}


def test_what_is_said_of_any_trade_says_little_of_a_mistake() -> None:
    provider = embeddings.provider_named(STATIC)
    plain = tags_of("Platform, fees and approval were as usual, and nothing else was open in the account.", provider)
    mistake = tags_of("We moved the stop further away twice and the loss ran on.", provider)
    assert sum(plain.values()) < 0.75 < 0.95 < sum(mistake.values())
    assert max(plain.values()) < 0.25 < 0.5 < max(mistake.values())


def test_suggestions_are_marked_as_such_and_count_for_nothing(settings: object) -> None:
    settings.EMBEDDINGS_PROVIDER = STATIC  # type: ignore[attr-defined]
    found = suggest("We moved the stop further away twice and the loss ran on.")
    assert found[0].tag == MistakeTag.NO_STOP
    assert {one.source for one in found} == {TagSource.PROTOTYPE}
    assert all(0 < one.confidence <= 1 and one.because for one in found)
    assert suggest("") == ()


@given(st.text(max_size=120))
@pytest.mark.parametrize("name", ["hash", STATIC])
def test_weights_of_any_text_are_a_share_of_one(name: str, text: str) -> None:
    weights = tags_of(text, embeddings.provider_named(name))
    assert all(0 <= weight <= 1 for weight in weights.values())
    assert sum(weights.values()) <= 1 + 1e-9
    assert list(weights.values()) == sorted(weights.values(), reverse=True)


WEIGHTS = st.dictionaries(st.sampled_from([tag.value for tag in MistakeTag]), st.floats(min_value=0, max_value=1))


@given(WEIGHTS, WEIGHTS)
def test_overlap_is_even_handed_and_between_zero_and_one(first: dict[str, float], second: dict[str, float]) -> None:
    assert 0 <= tagging.overlap(first, second) <= 1
    assert tagging.overlap(first, second) == pytest.approx(tagging.overlap(second, first))


def test_two_vague_texts_do_not_agree_by_being_vague() -> None:
    vague = {tag.value: 0.01 for tag in MistakeTag}
    assert tagging.overlap(vague, vague) < 0.1
    assert tagging.overlap({"chop": 1.0}, {"chop": 1.0}) == pytest.approx(1)
    assert tagging.overlap({}, {}) == 0
