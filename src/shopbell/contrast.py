"""A business's colour, corrected until everybody can read what stands on it (WCAG 2.2, 1.4.3). Pure."""

import re
from dataclasses import dataclass

READABLE = 4.5
"""The least contrast that a text must have against what it stands on."""

DEFAULT_COLOR = "#1f5fbf"
LIGHT_PAPER = "#eef1f5"
"""The darkest of what texts stand on in the light theme of ``web/widget/panel.css``."""
DARK_PAPER = "#2a2e36"
"""The lightest of what texts stand on in its dark theme."""

_WHITE, _BLACK = "#ffffff", "#000000"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_NEARLY_READABLE = 3.0
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours that a business's own one becomes, as ``#rrggbb``.

    ``background`` with ``ink`` on it; ``on_light`` and ``on_dark`` for links and marks on the paper of each theme.
    """

    background: str
    ink: str
    on_light: str
    on_dark: str


def palette(color: str | None) -> Palette:
    """What can be read, made of a business's colour.

    Args:
        color: ``#rrggbb``; anything else stands for the default.

    Returns:
        Colours of which each pair has a contrast of at least 4.5.
    """
    plain = color.lower() if color is not None and _COLOR.fullmatch(color) else DEFAULT_COLOR
    # White stands well on most brands: one that is a little too light for it is made darker, a light one gets black.
    with_white = ratio(plain, _WHITE) >= _NEARLY_READABLE
    return Palette(
        background=corrected(plain, _WHITE) if with_white else plain,
        ink=_WHITE if with_white else _BLACK,
        on_light=corrected(plain, LIGHT_PAPER),
        on_dark=corrected(plain, DARK_PAPER),
    )


def ratio(one: str, other: str) -> float:
    """The contrast of two colours (``#rrggbb``), 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def corrected(color: str, paper: str) -> str:
    """The colour, moved towards black or white just as far as it takes to be read on a paper (and to carry it).

    Args:
        color: ``#rrggbb``.
        paper: ``#rrggbb``, light or dark enough that black or white can be read on it.
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
