"""The icons of the installed inbox show the logo. With SHOPBELL_KEEP_IMAGES, this file draws them again."""

import os
from base64 import b64encode
from collections.abc import Callable

import pytest

from harness import ROOT
from harness.browser import DESKTOP, KEEP_IMAGES, Visit

PUBLIC = ROOT / "web" / "public"
BACKGROUND = "#f7f5f1"
"""Not transparent: iOS would draw the logo on black."""
LOGO_SHARE = 0.72
"""Of the width: Android may cut an icon to a circle of four fifths of its width."""

DIFFERENCE = """async urls => {
    const [one, other] = await Promise.all(urls.map(async url => {
        const picture = await createImageBitmap(await (await fetch(url)).blob())
        const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d")
        canvas.drawImage(picture, 0, 0)
        return canvas.getImageData(0, 0, picture.width, picture.height).data
    }))
    if (one.length !== other.length) return 255
    return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]), 0) / one.length
}"""
"""How far two pictures are from each other: the mean of all channels, 0 to 255."""


def url_of(kind: str, content: bytes) -> str:
    """A file as a data URL."""
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("name", "size_px"), [("apple-touch-icon.png", 180), ("icon-192.png", 192), ("icon-512.png", 512)]
)
def test_an_icon_shows_the_logo_on_the_color_of_the_page(visit: Callable[..., Visit], name: str, size_px: int) -> None:
    page = visit(DESKTOP, viewport={"width": size_px, "height": size_px}).open("about:blank")
    logo = url_of("svg+xml", (PUBLIC / "shopbell.svg").read_bytes())
    style = (
        f"html {{ background: {BACKGROUND} }} img {{ position: fixed; inset: 0; margin: auto; width: {LOGO_SHARE:%} }}"
    )
    page.set_content(f'<style>{style}</style><img src="{logo}">')
    drawn = page.screenshot()
    if os.environ.get(KEEP_IMAGES):
        (PUBLIC / name).write_bytes(drawn)
    kept = (PUBLIC / name).read_bytes()
    assert page.evaluate(DIFFERENCE, [url_of("png", drawn), url_of("png", kept)]) < 1
