"""The widget's files: size, caching, embedding and content."""

import base64
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from harness.installation import Database, Installation, Server
from shopbell.formats.brand_colors import palette
from shopbell.http.branding import assets

BEFORE_THE_CLICK_BYTES = 5_000
OPENED_BYTES = 20_000
SITE = "https://shop.example"
HOSTILE = "</script><script>alert(1)</script><!-- \u2028 & <b>"


class Acme:
    """A company with two businesses, and the keys of its website."""

    def __init__(self, server: Server) -> None:
        cli = server.installation.cli
        self.server = server
        self.organization = cli("organization", "create", "Acme")["id"]
        self.business = self.new_business("Acme Bikes")
        self.other = self.new_business("Acme Tents")
        self.token = cli("token", "create", "--organization", self.organization)["token"]
        self.key = self.new_key()["key"]

    def new_business(self, name: str, *options: str) -> str:
        """Make a business; returns its id."""
        cli = self.server.installation.cli
        return str(cli("business", "create", "--organization", self.organization, name, *options)["id"])

    def new_key(self, **fields: Any) -> dict[str, Any]:
        """Make a publishable key."""
        made = self.post("/api/publishable-keys", {"allowedOrigins": [SITE], **fields})
        assert made.status_code == 200, made.text
        return dict(made.json())

    def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        """Ask the API."""
        return self.server.client.post(path, headers={"token": self.token}, json=body)

    def panel(self, key: str | None = None, **query: str) -> httpx2.Response:
        """The panel's document."""
        given = {"business": self.business, "locale": "en"} | query
        wanted = {name: value for name, value in ({"key": key or self.key} | given).items() if value}
        return self.server.client.get("/widget/panel", params=wanted)


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acme]:
    """Acme on a server of its own; the files are the same on both engines."""
    folder = tmp_path_factory.mktemp("widget")
    installation = Installation(Database(f"sqlite:///{folder}/data/shopbell.db"), folder)
    with installation.serving() as server:
        yield Acme(server)


def compressed(acme: Acme, path: str) -> bytes:
    """What goes over the wire to a browser."""
    with acme.server.client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        return b"".join(answer.iter_raw())


def config_of(page: httpx2.Response) -> dict[str, Any]:
    """What a panel's script is told."""
    found = re.search(r'<script type="application/json" id="config">(.*?)</script>', page.text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def policy_of(page: httpx2.Response) -> dict[str, list[str]]:
    """The directives of a page's policy."""
    directives = (each.split() for each in page.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in directives}


def test_before_the_first_click_a_website_loads_one_small_file_and_no_cookie(acme: Acme) -> None:
    assert len(compressed(acme, "/widget.js")) <= BEFORE_THE_CLICK_BYTES
    answer = acme.server.client.get("/widget.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "set-cookie" not in answer.headers
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"


def test_an_open_panel_loads_three_small_files(acme: Acme) -> None:
    page = acme.panel()
    files = re.findall(r'(?:href|src)="(panel\.[^"]+)"', page.text)
    assert len(files) == 2
    weight = len(gzip.compress(page.content, 6)) + sum(len(compressed(acme, f"/widget/{name}")) for name in files)
    assert weight <= OPENED_BYTES


@pytest.mark.parametrize("name", ["widget.js", "widget/panel.js", "widget/panel.css", "widget/conversation.js"])
def test_files_are_compressed_and_not_resent_to_caches(acme: Acme, name: str) -> None:
    client, path = acme.server.client, f"/{name}"
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(compressed(acme, path)) == plain.content
    assert "content-encoding" not in client.get(path, headers={"accept-encoding": "gzip;q=0, identity"}).headers
    assert plain.headers["vary"] == "Accept-Encoding"
    again = client.get(path, headers={"if-none-match": f'"another", {plain.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, headers={"if-none-match": 'W/"another"'}).status_code == 200
    assert client.head(path).status_code == 200


def test_only_versioned_files_are_cached_indefinitely(acme: Acme) -> None:
    page = acme.panel().text
    (script,) = re.findall(r'src="(panel\.js[^"]+)"', page)
    kept = acme.server.client.get(f"/widget/{script}").headers["cache-control"]
    assert "immutable" in kept
    assert "immutable" not in acme.server.client.get("/widget/panel.js?v=0123456789abcdef").headers["cache-control"]
    assert "immutable" not in acme.server.client.get("/widget.js").headers["cache-control"]


def test_only_known_files_are_served(acme: Acme) -> None:
    for name in ("talk.js", "panel.html", "..%2fdocs.js", "panel.js%00"):
        assert acme.server.client.get(f"/widget/{name}").status_code == 404


@pytest.mark.parametrize("part", sorted(path.name for path in assets.FOLDER.glob("*.js")))
def test_minifying_a_script_removes_only_comments_and_white_space(part: str) -> None:
    source = (assets.FOLDER / part).read_text()
    code = re.sub(r"/\*.*?\*/|(?<!\S)//[^\n]*", "", source, flags=re.DOTALL)
    own = ("widget.js", "form.js", "looks.js", "conversation.js", "demo.js")
    given = assets.file(part if part in own else "panel.js").content.decode()
    before_labels, _, after_labels = _compact(code).partition("__LABELS__")
    assert before_labels in _compact(given)
    assert after_labels in _compact(given)


def _compact(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_only_websites_of_a_key_can_embed_its_panel(acme: Acme) -> None:
    key = acme.new_key(allowedOrigins=[SITE, "https://*.acme.example", "http://localhost:3000"])["key"]
    page = acme.panel(key)
    allowed = [SITE, "https://*.acme.example", "http://localhost:3000"]
    assert policy_of(page)["frame-ancestors"] == ["'self'", *allowed]
    assert config_of(page)["allowedOrigins"] == allowed
    assert "x-frame-options" not in page.headers


def test_no_other_script_runs_in_a_panel(acme: Acme) -> None:
    policy = policy_of(acme.panel())
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == ["'self'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert policy["base-uri"] == policy["form-action"] == ["'none'"]


def test_a_name_with_markup_is_shown_as_text(acme: Acme) -> None:
    acme.server.installation.database.change(
        "UPDATE businesses SET name = :name WHERE id = :id", name=HOSTILE, id=int(acme.other)
    )
    page = acme.panel(business=acme.other)
    assert page.text.count("<script") == 2
    assert HOSTILE not in page.text
    assert html.escape(HOSTILE, quote=False) in page.text
    assert config_of(page)["business"]["name"] == HOSTILE


def test_a_panel_contains_no_secrets(acme: Acme) -> None:
    business = acme.new_business(
        "Acme Boats", "--email", "boats@acme.example", "--phone", "+16175550123", "--region", "US"
    )
    page = acme.panel(business=business)
    assert set(config_of(page)["business"]) == {"id", "name", "presence", "presenceChanges"}
    assert "boats@acme.example" not in page.text
    assert acme.token not in page.text


def test_an_unknown_or_revoked_key_shows_no_panel(acme: Acme) -> None:
    revoked = acme.new_key()
    assert acme.panel(revoked["key"]).status_code == 200
    assert acme.post(f"/api/publishable-keys/{revoked['id']}/revoke", {}).status_code == 200
    for key in (revoked["key"], "pk_live_" + "0" * 24, "pk_live_", "x" * 5_000):
        assert acme.panel(key).status_code == 404


def test_a_key_shows_only_its_own_businesses(acme: Acme) -> None:
    stranger = Acme(acme.server)
    bound = acme.new_key(businessId=acme.other)["key"]
    assert acme.panel(business=stranger.business).status_code == 404
    assert acme.panel(bound, business=acme.business).status_code == 404
    assert config_of(acme.panel(bound, business=""))["business"]["id"] == acme.other
    assert acme.panel(business="").status_code == 404  # there are several: the website must say which
    for nonsense in ("x", "-1", "9" * 40, "1.5", "²"):
        assert acme.panel(business=nonsense).status_code == 404


def test_a_deactivated_business_is_not_shown(acme: Acme) -> None:
    closed = acme.new_business("Acme Kites")
    acme.server.installation.cli("business", "deactivate", closed)
    assert acme.panel(business=closed).status_code == 404


@pytest.mark.parametrize(
    ("locale", "tag", "direction"),
    [("fr-CA", "fr", "ltr"), ("ar", "ar", "rtl"), ("xx", "en", "ltr"), ("x" * 300, "en", "ltr")],
)
def test_a_panel_uses_the_visitors_language(acme: Acme, locale: str, tag: str, direction: str) -> None:
    page = acme.panel(locale=locale)
    assert f'<html lang="{tag}" dir="{direction}"' in page.text


def test_without_a_language_of_the_website_the_browsers_is_used(acme: Acme) -> None:
    params = {"key": acme.key, "business": acme.business}
    page = acme.server.client.get("/widget/panel", params=params, headers={"accept-language": "de-AT, en;q=0.5"})
    assert '<html lang="de" dir="ltr"' in page.text


def test_a_panel_shows_when_its_business_opens_again(acme: Acme) -> None:
    assert config_of(acme.panel())["business"]["presence"] == "We reply as soon as we can"
    never = json.dumps({"weekly": {}, "exceptions": [{"date": "2099-01-02", "intervals": [["09:00", "12:00"]]}]})
    business = acme.new_business("Acme Sledges")
    acme.server.installation.database.change(
        "UPDATE businesses SET opening_hours = :hours WHERE id = :id", hours=never, id=int(business)
    )
    closed = "We are currently closed and reopen on Friday, January 2, 2099, 9:00\u202fAM"
    assert config_of(acme.panel(business=business))["business"]["presence"] == closed
    acme.server.installation.database.change(
        "UPDATE businesses SET time_zone = 'America/New_York' WHERE id = :id", id=int(business)
    )
    shown = config_of(acme.panel(business=business))["business"]["presence"]
    assert shown == closed, "the clock of the business is what counts, wherever it is"


def test_a_panel_uses_the_business_colour_in_its_only_allowed_style(acme: Acme) -> None:
    business = acme.new_business("Acme Lamps")
    acme.server.installation.database.change(
        "UPDATE businesses SET brand_color = '#ffd43b' WHERE id = :id", id=int(business)
    )
    page = acme.panel(business=business)
    (style,) = re.findall(r"<style>(.*?)</style>", page.text)
    assert f"--brand:{palette('#ffd43b').background}" in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy_of(page)["style-src"] == ["'self'", f"'sha256-{digest}'"]


def test_the_form_of_a_backend_site_identifies_no_visitor(acme: Acme) -> None:
    page = acme.server.client.get("/widget/panel", params={"locale": "en"})
    assert set(config_of(page)) == {"mode", "texts"}
    assert 'id="message"' in page.text
    assert policy_of(page)["frame-ancestors"] == ["*"]
    assert "set-cookie" not in page.headers


def test_the_demo_shop_exists_only_in_the_demo(acme: Acme) -> None:
    assert acme.server.client.get("/demo").status_code == 404


NEWER_THAN_SUPPORTED = {
    ".css": r":has\(|color-mix\(|light-dark\(|@container|@layer|@scope|subgrid|^\s*&|\(\s*(width|height)\s*[<>]",
    ".js": r"\(\?<[=!]|Array\.fromAsync|\.(toSorted|toReversed|toSpliced|with)\(|Object\.groupBy|structuredClone|"
    r"Promise\.withResolvers|URL\.canParse|AbortSignal\.(any|timeout)|\bstatic \{|/v[;,)]",
}
"""What neither Safari 15.4 nor Firefox ESR 115 can be relied on to know; a rule with it is dropped as a whole."""


def test_no_file_needs_a_browser_newer_than_the_supported_ones() -> None:
    found = [
        f"{path.name}: {line.strip()[:100]}"
        for path in Path(assets.FOLDER).iterdir()
        if path.suffix in NEWER_THAN_SUPPORTED
        for line in path.read_text().splitlines()
        if re.search(NEWER_THAN_SUPPORTED[path.suffix], line)
    ]
    assert found == []
    for newer in (".a:has(b) {", "  & b {", "@media (width > 20rem) {", "background: color-mix(in srgb, red, blue)"):
        assert re.search(NEWER_THAN_SUPPORTED[".css"], newer), newer


def test_every_script_module_stays_short() -> None:
    for path in Path(assets.FOLDER).iterdir():
        assert len(path.read_text().splitlines()) <= 400, path.name
