"""Pages of docs that several commands write, each its own section between markers, and none another's."""

from pathlib import Path


def begin(name: str) -> str:
    """What stands before a section."""
    return f"<!-- {name}: written by a command, from here -->"


def end(name: str) -> str:
    """What stands behind it."""
    return f"<!-- {name}: to here -->"


def put(page: str, name: str, section: str) -> str:
    """The page with this section in its place, all else untouched; at the end where it has none yet.

    Raises ValueError where one marker of it is there without the other, or one is there twice.
    """
    before, after = begin(name), end(name)
    found = (page.count(before), page.count(after))
    written = f"{before}\n\n{section.strip()}\n\n{after}"
    if found == (0, 0):
        return f"{page.rstrip()}\n\n{written}\n" if page.strip() else f"{written}\n"
    start, stop = page.find(before), page.find(after)
    if found != (1, 1) or stop < start:
        raise ValueError(f"The page has the markers of {name} {found} times: mend it by hand, {before} … {after}.")
    return page[:start] + written + page[stop + len(after) :]


def write(page: Path, name: str, section: str) -> None:
    """The same, of a file."""
    page.write_text(put(page.read_text(encoding="utf-8") if page.exists() else "", name, section), encoding="utf-8")
