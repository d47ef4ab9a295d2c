"""A text that is longer than what a model reads at once, as parts that are not. Pure."""

from collections.abc import Callable, Iterator

_BLANKS = " \n\t"


def parts(text: str, *, count: Callable[[str], int], most: int) -> Iterator[str]:
    """The text in order, in parts of at most `most` by `count`: whole where it fits, else halved, and each half again.

    Halves are nearly equal, so that none of a few words weighs as much as one of hundreds, and are cut between words
    where there are any. A single character is a part however much it counts. Blank parts are left out.
    """
    if not text.strip():
        return
    if len(text) == 1 or count(text) <= most:
        yield text
        return
    middle = _between_words(text)
    yield from parts(text[:middle], count=count, most=most)
    yield from parts(text[middle:], count=count, most=most)


def _between_words(text: str) -> int:
    """The place nearest to the middle at which a word ends, within the middle half; else the middle itself."""
    middle, quarter = len(text) // 2, len(text) // 4
    before = [text.rfind(blank, middle - quarter, middle) for blank in _BLANKS]
    after = [text.find(blank, middle, middle + quarter) for blank in _BLANKS]
    found = [place for place in before + after if place > 0]
    return min(found, key=lambda place: abs(place - middle), default=middle)
