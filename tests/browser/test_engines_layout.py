"""The panel in small windows in Chromium, Firefox and WebKit."""

import pytest

from harness.engine_widget import EngineShop, EngineWidget

# The parts of the composer that are outside the window or covered.
_OUT_OF_SIGHT = """
return ['attach', 'text', 'send'].filter((id) => {
  const one = document.getElementById(id)
  const { left, right, top, bottom } = one.getBoundingClientRect()
  const isOutside = top < 0 || left < 0 || bottom > innerHeight + 0.5 || right > innerWidth + 0.5
  return isOutside || !one.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2))
})
"""
_LARGE_TEXT = "document.documentElement.style.fontSize = '160%'"


@pytest.mark.parametrize(
    ("width", "height", "has_large_text"),
    [(640, 360, False), (320, 256, True)],
    ids=["640x360", "320x256-large-text"],
)
def test_the_composer_is_visible_in_the_smallest_window(
    width: int, height: int, has_large_text: bool, engine_shop: EngineShop
) -> None:
    widget = engine_shop.visit(width=width, height=height)
    widget.open()
    if has_large_text:
        widget.panel(_LARGE_TEXT)
    expect_composer(widget, "empty")
    widget.write("Hello")
    widget.expect_state("sent")
    widget.wait_in_panel("return document.getElementById('contact')")
    expect_composer(widget, "while a contact is asked for")
    assert widget.panel("return document.getElementById('log').clientHeight") > 0
    widget.panel(
        """for (const id of ['banner', 'state']) document.getElementById(id).hidden = false
        document.getElementById('banner').textContent = 'You are offline. What you write is sent later.'
        document.getElementById('typing').textContent = 'Someone is typing…'"""
    )
    expect_composer(widget, "with every line above it")
    widget.panel(
        """const text = document.getElementById('text')
        text.value = 'One line\\n'.repeat(30)
        text.dispatchEvent(new Event('input', { bubbles: true }))"""
    )
    expect_composer(widget, "with a long message")


def expect_composer(widget: EngineWidget, state: str) -> None:
    """Check that the whole composer is inside the window and not covered."""
    assert widget.panel(_OUT_OF_SIGHT) == [], state
