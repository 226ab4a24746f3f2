"""The page of the inbox: who gets it, and what protects it."""

import gzip
import re
import struct
from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2
import pytest

from harness.employees import Browser, hire
from harness.shop import Shop
from harness.waiting import ask_until_obeyed
from shopbell.http.pages import inbox

FIRST_LOAD_BYTES = 40_000


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


class Elements(HTMLParser):
    """The start tags of a page, and the texts of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style") and data.strip():
            self.scripts.append(data)

    def addresses(self, base: str) -> list[str]:
        """The paths of scripts, styles, icon and manifest."""
        links = [values.get("src") or values.get("href") for tag, values in self.found if tag in ("script", "link")]
        return [urljoin(base, link) for link in links if link]


def get(shop: Shop, path: str, **headers: str) -> httpx2.Response:
    """Fetch a file without a cookie."""
    return shop.server.client.get(path, headers=headers)


def test_the_inbox_is_shown_to_an_employee_who_is_signed_in(shop: Shop) -> None:
    alice = hire(shop)
    for path in ("/inbox", "/inbox/", "/inbox/mine", "/inbox/needs-reply/12345?businessId=7"):
        answer = alice.browser.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        for address in Elements(answer.text).addresses(path):
            assert get(shop, address).status_code == 200, address


def test_an_employee_who_is_not_signed_in_returns_to_the_same_place_after_the_sign_in(shop: Shop) -> None:
    alice = hire(shop)
    phone = Browser(shop)
    there = "/inbox/mine/12345?businessId=7&sort=recent"
    asked = phone.shop.server.client.get(there, headers={"Accept": "text/html"})
    sign_in = phone.follow(asked)
    assert sign_in.startswith("/sign-in?next=inbox/mine/12345%3F")
    form = Elements(phone.get(sign_in).text)
    (next_page,) = [values["value"] for tag, values in form.found if tag == "input" and values.get("name") == "next"]
    assert phone.follow(phone.sign_in(alice.email, next=next_page or "")) == there
    assert phone.get("/inbox").status_code == 200


def test_a_session_that_has_ended_does_not_show_the_inbox(shop: Shop) -> None:
    alice = hire(shop)
    cookie = alice.browser.cookie
    alice.browser.submit("/sign-out")
    ask_until_obeyed(
        lambda: get(shop, "/inbox", Cookie=cookie, Accept="text/html").status_code == 303, "the page is still shown"
    )
    assert get(shop, "/inbox", Cookie=cookie).status_code == 401


def test_the_page_runs_only_its_own_scripts_and_no_site_can_frame_it(shop: Shop) -> None:
    answer = hire(shop).browser.get("/inbox")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["x-frame-options"] == "DENY"
    page = Elements(answer.text)
    assert page.scripts == []
    assert [tag for tag, values in page.found if any(name == "style" or name[:2] == "on" for name in values)] == []
    assert "{" not in answer.text  # every placeholder is filled


def test_files_with_a_hash_are_cached_forever_and_compressed(shop: Shop) -> None:
    page = Elements(hire(shop).browser.get("/inbox").text)
    hashed = [address for address in page.addresses("/inbox") if "/assets/" in address]
    assert {address.rpartition(".")[2] for address in hashed} == {"js", "css"}
    for address in hashed:
        answer = get(shop, address, **{"Accept-Encoding": "gzip"})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == get(shop, address, **{"Accept-Encoding": "identity"}).content


def test_the_code_of_the_first_load_is_small(shop: Shop) -> None:
    page = Elements(hire(shop).browser.get("/inbox").text)
    code = [address for address in page.addresses("/inbox") if address.endswith((".js", ".css"))]
    assert code
    size = sum(len(gzip.compress(get(shop, address).content, 9)) for address in code)
    assert size <= FIRST_LOAD_BYTES


@pytest.mark.parametrize(
    "path",
    ["assets/none-12345678.js", "assets/", "assets/../index.html", "assets/%2e%2e/index.html", "index.html", "none.js"],
)
def test_only_files_of_the_page_are_served(shop: Shop, path: str) -> None:
    assert get(shop, f"/inbox/{path}").status_code in (401, 404)


def test_the_page_speaks_the_language_of_the_browser(shop: Shop) -> None:
    alice = hire(shop)
    answer = get(shop, "/inbox", Cookie=alice.browser.cookie, **{"Accept-Language": "ar-EG,en;q=0.5"})
    assert re.search(r'<html lang="ar" dir="rtl"', answer.text)
    assert "JavaScript" in answer.text


def test_the_page_can_be_installed(shop: Shop) -> None:
    page = hire(shop).browser.get("/inbox/mine")
    (address,) = [each for each in Elements(page.text).addresses("/inbox/mine") if each.endswith(".webmanifest")]
    answer = get(shop, address)
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert manifest["display"] == "standalone"
    assert urljoin(address, manifest["start_url"]) == "/inbox/"
    pictures = [icon for icon in manifest["icons"] if icon["type"] == "image/png"]
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in pictures}
    for icon in manifest["icons"]:
        assert get(shop, urljoin(address, icon["src"])).headers["content-type"] == icon["type"]
    for icon in pictures:
        assert size_of(get(shop, urljoin(address, icon["src"])).content) == icon["sizes"]


def test_ios_finds_an_icon_for_the_home_screen(shop: Shop) -> None:
    page = Elements(hire(shop).browser.get("/inbox/mine").text)
    (link,) = [values["href"] for tag, values in page.found if values.get("rel") == "apple-touch-icon"]
    icon = get(shop, urljoin("/inbox/mine", link))
    assert icon.headers["content-type"] == "image/png"
    assert size_of(icon.content) == "180x180"


def size_of(png: bytes) -> str:
    """Width and height of a PNG, as a manifest writes them."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return "{}x{}".format(*struct.unpack(">II", png[16:24]))


def test_the_tables_of_types_and_files_agree() -> None:
    """Check that all files that Vite writes beside the page can be served."""
    folder = inbox.FOLDER
    suffixes = {path.suffix for path in folder.rglob("*.*") if path.is_file() and path.name != "index.html"}
    assert suffixes <= set(inbox.MEDIA_TYPES)
