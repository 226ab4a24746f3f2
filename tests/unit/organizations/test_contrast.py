"""Text is legible on every business colour."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shopbell.formats.brand_colors import (
    DARK_PAPER,
    DEFAULT_COLOR,
    LIGHT_PAPER,
    READABLE,
    corrected,
    palette,
    ratio,
)

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#777777", "#ffffff", 4.48),  # the well-known grey that just fails
        ("#767676", "#ffffff", 4.54),  # and the one that just passes
        ("#ff0000", "#ffffff", 4.0),
    ],
)
def test_the_contrast_follows_the_wcag_formula(one: str, other: str, expected: float) -> None:
    assert ratio(one, other) == pytest.approx(expected, abs=0.005)
    assert ratio(other, one) == ratio(one, other)


@given(COLORS)
@example("#ffffff")
@example("#000000")
@example("#808080")
@example("#ffff00")
def test_every_colour_becomes_legible_in_both_themes(color: str) -> None:
    its = palette(color)
    assert ratio(its.background, its.ink) >= READABLE
    assert ratio(its.on_light, LIGHT_PAPER) >= READABLE
    assert ratio(its.on_light, "#ffffff") >= READABLE
    assert ratio(its.on_dark, DARK_PAPER) >= READABLE
    assert ratio(its.on_dark, "#000000") >= READABLE


def test_a_legible_colour_stays_unchanged() -> None:
    assert palette("#7A1FA2").background == "#7a1fa2"
    assert corrected("#7a1fa2", "#ffffff") == "#7a1fa2"


def test_a_slightly_light_colour_is_darkened_and_a_light_one_gets_black_text() -> None:
    orange = palette("#e8590c")
    assert orange.ink == "#ffffff"
    assert orange.background != "#e8590c"
    yellow = palette("#ffd43b")
    assert (yellow.background, yellow.ink) == ("#ffd43b", "#000000")


@pytest.mark.parametrize("color", [None, "", "red", "#fff", "#12345g", "#1f5fbf;} body{display:none", "#1f5fbf\n"])
def test_an_invalid_colour_means_the_default(color: str | None) -> None:
    assert palette(color) == palette(DEFAULT_COLOR)
