"""Colours of the design system can be read on each other, in light and dark (WCAG 2.2 AA)."""

import re

import pytest

from koppel.web.build.built import STATIC_SOURCE

TOKENS = (STATIC_SOURCE / "koppel" / "css" / "tokens.css").read_text()
TEXT_RATIO, SHAPE_RATIO = 4.5, 3.0
INKS = ("ink", "soft", "accent", "busy", "warn", "bad", "ok")
GROUNDS = ("ground", "paper", "raised")
PAIRS = [
    *(
        (ink, ground, TEXT_RATIO)
        for ink in ("ink", "soft", "accent", "busy", "warn", "bad", "ok")
        for ground in GROUNDS
    ),
    *((kind, f"{kind}-ground", TEXT_RATIO) for kind in ("busy", "warn", "bad", "ok")),
    *(("ink", f"{kind}-ground", TEXT_RATIO) for kind in ("busy", "warn", "bad", "ok")),
    ("ink", "pressed", TEXT_RATIO),
    ("soft", "pressed", TEXT_RATIO),
    ("on-accent", "accent", TEXT_RATIO),
    ("line-control", "paper", SHAPE_RATIO),
    ("line-control", "ground", SHAPE_RATIO),
]


def colour(name: str, scheme: int) -> str:
    value = re.search(rf"--{name}: ([^;]+);", TOKENS)
    assert value, name
    text = value[1]
    if both := re.fullmatch(r"light-dark\((.+), (.+)\)", text):
        text = both[scheme + 1]
    if reference := re.fullmatch(r"var\(--([\w-]+)\)", text):
        return colour(reference[1], scheme)
    return text


def luminance(code: str) -> float:
    channels = [int(code[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back", "ratio"), PAIRS, ids=str)
def test_colours_have_contrast(front: str, back: str, ratio: float, scheme: int) -> None:
    lighter, darker = sorted((luminance(colour(name, scheme)) for name in (front, back)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= ratio
