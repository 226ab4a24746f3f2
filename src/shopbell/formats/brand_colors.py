"""Corrects the brand color of a business until texts have enough contrast (WCAG 2.2, 1.4.3). Pure."""

import re
from dataclasses import dataclass

READABLE = 4.5
"""The least contrast between a text and its background."""

DEFAULT_COLOR = "#1f5fbf"
LIGHT_PAPER = "#eef1f5"
"""The darkest background in the light theme of ``web/widget/panel.css``."""
DARK_PAPER = "#2a2e36"
"""The lightest background in its dark theme."""

_WHITE, _BLACK = "#ffffff", "#000000"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_NEARLY_READABLE = 3.0
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Palette:
    """The colors made of a business's color, as ``#rrggbb``.

    ``ink`` is for texts on ``background``; ``on_light`` and ``on_dark`` are for links on the background of each theme.
    """

    background: str
    ink: str
    on_light: str
    on_dark: str


def palette(color: str | None) -> Palette:
    """Make readable colors of a business's color.

    Args:
        color: ``#rrggbb``; anything else means the default color.

    Returns:
        Colors whose contrast to their background is at least 4.5.
    """
    plain = color.lower() if color is not None and _COLOR.fullmatch(color) else DEFAULT_COLOR
    # White suits most brand colors. One that is a little too light for it gets darker; a light one gets black text.
    with_white = ratio(plain, _WHITE) >= _NEARLY_READABLE
    return Palette(
        background=corrected(plain, _WHITE) if with_white else plain,
        ink=_WHITE if with_white else _BLACK,
        on_light=corrected(plain, LIGHT_PAPER),
        on_dark=corrected(plain, DARK_PAPER),
    )


def ratio(one: str, other: str) -> float:
    """The contrast of two colors (``#rrggbb``), 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def corrected(color: str, paper: str) -> str:
    """The color, moved towards black or white just until it has enough contrast to a background.

    Args:
        color: ``#rrggbb``.
        paper: the background, ``#rrggbb``; black or white must have enough contrast to it.
    """
    goal = _BLACK if ratio(paper, _BLACK) > ratio(paper, _WHITE) else _WHITE
    mixed = (_mixed(color, goal, step / _STEPS) for step in range(_STEPS + 1))
    return next(each for each in mixed if ratio(each, paper) >= READABLE)


def _mixed(color: str, other: str, part: float) -> str:
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
