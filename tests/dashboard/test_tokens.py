"""The colours of tokens.css are legible: text at 4.5 to 1 on what it stands on, in both themes."""

import re
from pathlib import Path

import pytest
from django.conf import settings

TOKENS = (Path(settings.BASE_DIR) / "static/aika/tokens.css").read_text(encoding="utf-8")
PAIR = re.compile(r"--([a-z0-9-]+):\s*light-dark\((#[0-9a-f]{6}),\s*(#[0-9a-f]{6})\)")
SAME = re.compile(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6});")
COLOURS = {name: (light, dark) for name, light, dark in PAIR.findall(TOKENS)}
COLOURS |= {name: (colour, colour) for name, colour in SAME.findall(TOKENS)}

TEXT = [
    *((ink, ground) for ink in ("ink", "ink-2", "ink-3") for ground in ("page", "surface", "sunken")),
    *((f"{state}-ink", f"{state}-wash") for state in ("ok", "warn", "stop", "unsure", "accent")),
    *((f"{state}-ink", "surface") for state in ("ok", "warn", "stop", "unsure", "accent")),
    *((result, "surface") for result in ("gain", "loss", "buy", "sell")),
    ("on-fill", "accent-fill"),
    ("on-fill", "stop-fill"),
    ("live-ink", "live-fill"),
    ("paper-ink", "paper-fill"),
    ("ink-3", "accent-wash"),
]
GRAPHICS = [("control", "surface"), ("bar-now", "bar-track"), ("bar-add", "bar-track"), ("focus", "page")]


def luminance(colour: str) -> float:
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT)
def test_text_can_be_read(ink: str, ground: str, theme: int) -> None:
    assert contrast(COLOURS[ink][theme], COLOURS[ground][theme]) >= 4.5


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), GRAPHICS)
def test_graphics_can_be_seen(mark: str, ground: str, theme: int) -> None:
    assert contrast(COLOURS[mark][theme], COLOURS[ground][theme]) >= 2.9


def test_only_tokens_name_colours() -> None:
    look = (Path(settings.BASE_DIR) / "static/aika/look.css").read_text(encoding="utf-8")
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[;\s)])", look) == []


def test_templates_carry_no_inline_style_or_script() -> None:
    found = []
    for path in sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", text):
            found.append(path.name)
    assert found == []
