"""Find what is wrong with the links of a built site."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_RESOURCES = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
# A browser does not fetch what these name.
_NO_RESOURCES = {"canonical", "prev", "next", "alternate"}


class _Page(HTMLParser):
    """What a page of the site names: links, resources, and the ids that links lead to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.resources: list[str] = []
        self.ids: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        url = given.get(_RESOURCES.get(tag, ""))
        if url is not None and not (tag == "link" and given.get("rel", "") in _NO_RESOURCES):
            self.resources.append(url)


def faults(site: Path) -> list[str]:
    """List links to pages, headings and files that do not exist, and resources on other hosts.

    Links to other sites are allowed, and are not checked.
    """
    pages = {path.resolve(): _Page(path.read_text()) for path in site.rglob("*.html")}
    found = [
        f"{path.relative_to(site.resolve())}: {fault}"
        for path, page in pages.items()
        for fault in (*_dead_links(site, path, page, pages), *_foreign(page))
    ]
    for path in site.rglob("*.css"):
        text = path.read_text()
        found += [f"{path.name}: {word}" for word in ("url(http", "url(//", "@import") if word in text]
    return found


def _dead_links(site: Path, path: Path, page: _Page, pages: dict[Path, _Page]) -> Iterator[str]:
    for url in (*page.links, *page.resources):
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        name = unquote(parts.path)
        # 404.html has links from the root, because it is shown for any address.
        base = site if name.startswith("/") else path.parent
        target = (base / name.lstrip("/")).resolve() if name else path
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            yield f"{url} does not exist"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            yield f"{url} has no such heading"


def _foreign(page: _Page) -> Iterator[str]:
    for url in page.resources:
        parts = urlsplit(url)
        if parts.netloc or parts.scheme not in ("", "data"):
            yield f"{url} is on another host"
