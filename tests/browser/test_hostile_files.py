"""Files that are something else than they say run nowhere: sent by a customer, opened by whoever is shown them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hostile import WITH_AND_WITHOUT_POLICY, Hostile, hostile_talk, opened, page_opened
from playwright.sync_api import Browser, Error, FrameLocator, Page, expect
from test_widget_more import PICTURE
from witness import Witness, witness

from harness.host_site import HostPage, HostSite

GIF = bytes.fromhex("47494638396101000100800000ff0000ffffff2c00000000010001000002024401003b")
ALL_TYPES = {"SHOPBELL_ATTACHMENT_TYPES": "*/*"}  # what is refused could not be opened
BEGINNINGS = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"RIFF", b"GIF8")  # of pictures
FRAMED = (("iframe", "src"), ("object", "data"), ("embed", "src"))
TEXTS = "nodes => nodes.map(node => node.textContent)"


@dataclass(frozen=True)
class File:
    """A file that runs where it is taken for what it is not: for a page, a picture's page, or a script."""

    number: int
    name: str
    content: bytes
    taken_for: str = "text/html"
    is_picture: bool = False


def files() -> list[File]:
    """All of them; each calls ``fired`` with its number."""
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
    """A page that runs."""
    return f"<!doctype html><html><body><script>fired({number})</script><img src=x onerror=fired({number})>".encode()


FILES = files()


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The visitor has sent all of them, and a picture that is one."""
    with hostile_talk(browser, tmp_path_factory.mktemp("files"), **ALL_TYPES) as made:
        for file in FILES:
            sent = {"file": (file.name, file.content, "image/png")}
            attachment = made.post("/api/customer/attachments", files=sent)["attachmentId"]
            message = {"attachmentId": attachment, "clientMessageId": str(uuid.uuid4())}
            made.post("/api/customer/messages", json=message)
        yield made


def check(seen: Witness, shown: Page, region: Page | FrameLocator) -> None:
    """All of them are there; nothing ran when they were shown, and nothing does when each is opened or taken in."""
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
    # What a browser puts around a picture of its own accord, the file's policy refuses, too: that is no fault.
    assert (seen.fired, seen.dialogs) == (set(), [])


def opens_as(tab: Page, address: str) -> str:
    """What a browser makes of an address: the media type that it shows, or ``download``."""
    try:
        tab.goto(address)
    except Error as error:
        return "download" if "Download is starting" in error.message else error.message
    return str(tab.evaluate("document.contentType"))


@WITH_AND_WITHOUT_POLICY
def test_files_run_nowhere_when_the_widget_shows_or_opens_them(
    bypass_csp: bool, hostile: Hostile, browser: Browser
) -> None:
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
def test_files_run_nowhere_when_the_page_shows_or_opens_them(
    bypass_csp: bool, hostile: Hostile, browser: Browser
) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        shown = page_opened(seen, hostile)
        check(seen, shown, shown)


@WITH_AND_WITHOUT_POLICY
def test_files_run_nowhere_when_the_store_opens_them(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
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


def test_no_page_of_ours_can_take_one_in_as_something_that_runs(hostile: Hostile, browser: Browser) -> None:
    """As whoever had found a way to write an element into a page would try: its policy allows our own scripts."""
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


def test_all_of_them_run_where_they_are_taken_for_what_they_are_not(browser: Browser, host_site: HostSite) -> None:
    body = ""
    for file in FILES:
        host_site.pages[f"/{file.number}"] = HostPage(file.content, {"Content-Type": file.taken_for})
        tag = "script" if file.taken_for == "text/javascript" else "iframe"
        body += f'<{tag} src="/{file.number}"></{tag}>'
    with witness(browser, bypass_csp=True) as seen:
        seen.open(host_site.page("/all", body))
        assert seen.fired == {file.number for file in FILES}


def test_a_name_leads_out_of_nothing(hostile: Hostile) -> None:
    names = [message["attachment"]["name"] for message in hostile.said()[1:]]
    assert len(names) == len(FILES)
    assert not any(sign in name for name in names for sign in "\u202e\r\n\\/")
    assert names[-1] == "shopbell.html"
