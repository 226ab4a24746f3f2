"""Disguised uploads run no script in any browser view."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hostile import WITH_AND_WITHOUT_POLICY, Hostile, hostile_talk, opened, page_opened
from playwright.sync_api import Browser, Error, FrameLocator, Page, expect
from test_widget_features import PICTURE
from witness import Witness, witness

from harness.host_site import HostPage, HostSite

GIF = bytes.fromhex("47494638396101000100800000ff0000ffffff2c00000000010001000002024401003b")
ALL_TYPES = {"SHOPBELL_ATTACHMENT_TYPES": "*/*"}  # a refused file cannot be opened
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")  # of images
FRAMED = (("iframe", "src"), ("object", "data"), ("embed", "src"))
TEXTS = "nodes => nodes.map(node => node.textContent)"


@dataclass(frozen=True)
class File:
    """A file that runs if a browser takes it for a page, an SVG image or a script."""

    number: int
    name: str
    content: bytes
    taken_for: str = "text/html"
    is_picture: bool = False


def files() -> list[File]:
    """All hostile files; each calls ``fired`` with its number."""
    svg, xhtml = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"
    made: list[Callable[[int], tuple[str, bytes, str, bool]]] = [
        lambda n: (
            "logo.svg",
            f'<svg xmlns="{svg}" onload="fired({n})"><script>fired({n})</script></svg>'.encode(),
            "image/svg+xml",
            False,
        ),
        lambda n: (
            "logo.png",
            f'<!DOCTYPE svg [<!ENTITY x "fired({n})">]><svg xmlns="{svg}"><script>&x;</script></svg>'.encode(),
            "image/svg+xml",
            False,
        ),
        lambda n: ("data.xml", f'<x xmlns:h="{xhtml}"><h:script>fired({n})</h:script></x>'.encode(), "text/xml", False),
        lambda n: ("picture.png", page(n), "text/html", False),
        lambda n: ("page.html", page(n), "text/html", False),
        lambda n: ("page.txt", page(n).decode().encode("utf-16"), "text/html", False),
        lambda n: ("head.png", b"\x89PNG\r\n\x1a\n" + page(n), "text/html", False),
        lambda n: ("head.jpg", b"\xff\xd8\xff\xe0" + page(n), "text/html", False),
        lambda n: ("head.webp", b"RIFF\x40\0\0\0WEBP" + page(n), "text/html", False),
        lambda n: ("script.gif", b"GIF89a/*" + b"\0" * 20 + f"*/=1;fired({n})//".encode(), "text/javascript", False),
        lambda n: ("script.txt", f"fired({n})".encode(), "text/javascript", False),
        lambda n: ("both.gif", GIF + page(n), "text/html", True),
        lambda n: ("both.png", PICTURE + page(n), "text/html", True),
        lambda n: (
            "bill.pdf",
            f"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(fired({n}))>>>>endobj\n".encode()
            + page(n)
            + b"\ntrailer<</Root 1 0 R>>\n%%EOF",
            "text/html",
            False,
        ),
        lambda n: (f'"><img src=x onerror=fired({n})>.png', PICTURE + page(n), "text/html", True),
        lambda n: (f"<svg onload=fired({n})>.html", page(n), "text/html", False),
        lambda n: (f"a.png\r\nContent-Type: text/html\r\n\r\n<script>fired({n})</script>", page(n), "text/html", False),
        lambda n: ("photo\u202egnp.html", page(n), "text/html", False),
        lambda n: ("..\\..\\static\\shopbell.html", page(n), "text/html", False),
    ]
    return [File(number, *one(number)) for number, one in enumerate(made)]


def page(number: int) -> bytes:
    """A page with a script."""
    return f"<!doctype html><html><body><script>fired({number})</script><img src=x onerror=fired({number})>".encode()


FILES = files()


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The visitor has sent all hostile files and a genuine image."""
    with hostile_talk(browser, tmp_path_factory.mktemp("files"), **ALL_TYPES) as made:
        for file in FILES:
            sent = {"file": (file.name, file.content, "image/png")}
            attachment = made.post("/api/customer/attachments", files=sent)["attachmentId"]
            message = {"attachmentId": attachment, "clientMessageId": str(uuid.uuid4())}
            made.post("/api/customer/messages", json=message)
        yield made


def check(seen: Witness, shown: Page, region: Page | FrameLocator) -> None:
    """Check that all files are shown, and that none runs.

    Neither when it is shown, nor when it is opened or embedded.
    """
    links = region.locator("a[href*='/attachments/']")
    expect(links).to_have_count(len(FILES))
    addresses = links.evaluate_all("all => all.map(link => link.href)")
    assert not any("\u202e" in text for text in links.evaluate_all(TEXTS))
    seen.touch(shown)
    assert seen.foreign(shown) == []
    seen.expect_nothing()
    for file, address in zip(FILES, addresses, strict=True):
        tab = seen.context.new_page()
        assert opens_as(tab, address).startswith(("image/", "download")), file.name
        tab.close()
    seen.settle(shown)
    # The file's policy also blocks the page that a browser puts around an image. That is no fault.
    assert (seen.fired, seen.dialogs) == (set(), [])


def opens_as(tab: Page, address: str) -> str:
    """How a browser handles an address: the media type that it shows, or ``download``."""
    try:
        tab.goto(address)
    except Error as error:
        return "download" if "Download is starting" in error.message else error.message
    return str(tab.evaluate("document.contentType"))


@WITH_AND_WITHOUT_POLICY
def test_uploaded_files_run_no_script_in_the_widget(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp, storage_state=hostile.storage) as seen:
        shown = seen.context.new_page()
        shown.goto(f"{hostile.demo.url}/demo")
        panel = opened(shown)
        check(seen, shown, panel)
        pictures = panel.locator("a.picture img")
        shows = [file.is_picture for file in FILES if file.content.startswith(BEGINNINGS)]
        expect(pictures).to_have_count(len(shows))
        for place, is_picture in enumerate(shows):
            pictures.nth(place).scroll_into_view_if_needed()
            decoded = pictures.nth(place).evaluate("image => image.decode().then(() => image.naturalWidth, () => 0)")
            assert decoded == is_picture


@WITH_AND_WITHOUT_POLICY
def test_uploaded_files_run_no_script_on_the_page(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        shown = page_opened(seen, hostile)
        check(seen, shown, shown)


@WITH_AND_WITHOUT_POLICY
def test_uploaded_files_run_no_script_when_employees_open_them(
    bypass_csp: bool, hostile: Hostile, browser: Browser
) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        shown = seen.open(hostile.answer_link())
        check(seen, shown, shown)


INCLUDE = """
([kind, address]) => new Promise((done) => {
  const one = document.createElement(kind === 'module' ? 'script' : kind)
  if (kind === 'module') one.type = 'module'
  one.onload = one.onerror = () => requestAnimationFrame(() => requestAnimationFrame(done))
  one[kind === 'object' ? 'data' : 'src'] = address
  document.body.append(one)
})
"""


def test_no_page_can_load_an_upload_as_a_script(hostile: Hostile, browser: Browser) -> None:
    """Insert elements into a page, as an attacker could without escaping.

    The policy allows our own scripts.
    """
    with witness(browser, bypass_csp=True) as seen:
        shown = page_opened(seen, hostile)
        links = shown.locator("a[href*='/attachments/']").evaluate_all("all => all.map(link => link.href)")
        assert len(links) == len(FILES)
        for link in links:
            for kind in ("script", "module"):
                shown.evaluate(INCLUDE, [kind, link])
        frames = "".join(f"<{kind} {name}='{link}'></{kind}>" for kind, name in FRAMED for link in links)
        shown.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", frames.replace("&", "&amp;"))
        seen.settle(shown)
        assert (seen.fired, seen.dialogs) == (set(), [])


def test_control_the_files_run_if_served_with_the_wrong_type(browser: Browser, host_site: HostSite) -> None:
    body = ""
    for file in FILES:
        host_site.pages[f"/{file.number}"] = HostPage(file.content, {"Content-Type": file.taken_for})
        tag = "script" if file.taken_for == "text/javascript" else "iframe"
        body += f'<{tag} src="/{file.number}"></{tag}>'
    with witness(browser, bypass_csp=True) as seen:
        seen.open(host_site.page("/all", body))
        assert seen.fired == {file.number for file in FILES}


def test_a_file_name_cannot_break_out_of_markup(hostile: Hostile) -> None:
    names = [message["attachment"]["name"] for message in hostile.said()[1:]]
    assert len(names) == len(FILES)
    assert not any(sign in name for name in names for sign in "\u202e\r\n\\/")
    assert names[-1] == "shopbell.html"
