"""The organisation's colour: texts and buttons in it can be read, in light and in dark (WCAG 2.2 AA)."""

import re
from collections.abc import Iterable, Sequence

TEXT_RATIO = 4.5
LIGHT_GROUNDS = ("#ffffff", "#fafaf9", "#f5f5f4")
DARK_GROUNDS = ("#131211", "#1a1918", "#232120")
"""`--ground`, `--paper` and `--raised` of the stylesheet."""
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_STEPS = 100

Channels = tuple[int, int, int]


def parse_colour(text: str) -> str | None:
    """Return `#0f766e` for `#0F766E` or `0f766e`; None for what is no colour."""
    match = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip(), re.ASCII)
    return f"#{match[1].lower()}" if match else None


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def is_legible(colour: str, grounds: Iterable[str] = LIGHT_GROUNDS) -> bool:
    """Return whether text in this colour can be read on all these grounds."""
    return all(contrast(colour, ground) >= TEXT_RATIO for ground in grounds)


def nearest_legible(colour: str) -> str:
    """Return the colour, as much darker as the light grounds need."""
    return _towards(colour, _BLACK, LIGHT_GROUNDS)


def stylesheet(colour: str) -> str:
    """Return the CSS that sets the tokens: the colour for light, a lighter one for dark, and the text on
    each.
    """
    dark = _towards(colour, _WHITE, DARK_GROUNDS)
    return (
        f":root {{ --brand: {colour}; --on-brand: #ffffff; "
        f"--brand-dark: {dark}; --on-brand-dark: {DARK_GROUNDS[0]}; }}\n"
    )


def _towards(colour: str, end: Channels, grounds: Sequence[str]) -> str:
    start = _channels(colour)
    mixes = (
        _code(tuple(round(a + (b - a) * step / _STEPS) for a, b in zip(start, end, strict=True)))
        for step in range(_STEPS + 1)
    )
    return next(mix for mix in mixes if is_legible(mix, grounds))


def _luminance(colour: str) -> float:
    parts = (channel / 255 for channel in _channels(colour))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _channels(colour: str) -> Channels:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _code(channels: Iterable[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)
