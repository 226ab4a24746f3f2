"""The widget as websites load it: ``/widget.js``, the panel with its script and style, and the demo's shop page."""

import gzip
import time
from typing import cast

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell import organizations, publishable_keys
from shopbell.demo import BUSINESSES, Demo
from shopbell.errors import NotFound
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Api
from shopbell.http.customer import looks, scripts
from shopbell.http.customer.widget_texts import panel_texts
from shopbell.http.pages import is_at_the_machine_itself
from shopbell.organizations import Business
from shopbell.publishable_keys import PublishableKey
from shopbell.texts import for_locale

PANEL_FILES = ("looks.js", "panel.js", "panel.css", "conversation.js", "conversation.css", "demo.js", "demo.css")
THEMES = ("auto", "light", "dark")
_LOCALE_MAX_CHARACTERS = 35
_ID_MAX_DIGITS = 16
_ANYBODY = ("*",)
_GZIP_LEVEL = 6  # a panel is written anew for each who opens it

router = APIRouter(include_in_schema=False)


@router.api_route("/widget.js", methods=["GET", "HEAD"])
def loader(request: Request) -> Response:
    """Give the loader, which a website's page has a tag for."""
    return scripts.answer(request, "widget.js")


@router.api_route("/widget/panel", methods=["GET", "HEAD"])
async def panel(
    request: Request, key: str = "", business: str = "", locale: str = "", theme: str = THEMES[0]
) -> Response:
    """Give the document that the widget opens in a frame; without a key, the form of a site that sends by its backend.

    Raises:
        NotFound: 404; no such key, none that is good for this business, or no business that customers can write to.
        StorageError: 503.
    """
    theme = theme if theme in THEMES else THEMES[0]
    if not key:
        return _form(request, locale, theme)
    api = cast("Api", request.app.state.api)
    found = await api.database.read(find_shown, key, business)
    if found is None:
        raise NotFound
    its_key, its_business = found
    texts = for_locale(locale[:_LOCALE_MAX_CHARACTERS], _language(request), its_business.locale)
    can_attach = api.blobs is not None
    config = looks.conversation_config(
        texts,
        its_business,
        attachments=can_attach,
        attachment_limit_bytes=api.settings.attachment_limit_bytes,
        now_ms=time.time_ns() // 1_000_000,
    )
    html = looks.page(
        "panel.html",
        texts,
        its_business.brand_color,
        theme=theme,
        mode="key",
        title=its_business.name,
        messages=(),
        attachments=can_attach,
        composer_action=None,
        config_json=looks.config_json({**config, "mode": "key", "key": key, "allowedOrigins": its_key.origins}),
    )
    ancestors = ("'self'", *its_key.origins)
    return _document(request, html, looks.headers(its_business.brand_color, frame_ancestors=ancestors))


@router.api_route("/widget/{name}", methods=["GET", "HEAD"])
def panel_file(request: Request, name: str) -> Response:
    """Give a file that panel or conversation page need.

    Raises:
        NotFound: 404, there is no such file.
    """
    if name not in PANEL_FILES:
        raise NotFound
    return scripts.answer(request, name)


@router.api_route("/demo", methods=["GET", "HEAD"])
def demo_shop(request: Request) -> Response:
    """Show a small shop with the widget on it, where the demo runs.

    Raises:
        NotFound: 404, no demo runs here.
    """
    demo: Demo | None = request.app.state.demo
    if demo is None or not demo.publishable_key:
        raise NotFound
    texts = for_locale("en")
    html = looks.page(
        "demo.html",
        texts,
        None,
        name=BUSINESSES[0]["name"],
        key=demo.publishable_key,
        business_id=demo.business_ids[0],
        base=base_url(request, request.app.state.settings),
        # It opens all of the demo's conversations: shown to whoever sits at this machine, as on the first page.
        token=demo.token if is_at_the_machine_itself(request) else None,
    )
    return _document(request, html, looks.headers(None, shows_panel=True))


def find_shown(tx: Connection, key: str, business: str) -> tuple[PublishableKey, Business] | None:
    """Whom a key lets customers write to.

    Args:
        tx: the transaction.
        key: a publishable key.
        business: the id of a business as it was sent; empty for the only one that it can be.

    Returns:
        None when it is none that customers can write to with this key.
    """
    found = publishable_keys.find(tx, key)
    if found is None:
        return None
    if business and not (business.isascii() and business.isdecimal() and len(business) <= _ID_MAX_DIGITS):
        return None
    wanted = int(business) if business else found.business_id
    if wanted is None:
        active = [each for each in organizations.find_businesses(tx, found.organization_id) if each.active]
        return (found, active[0]) if len(active) == 1 else None
    if found.business_id not in (None, wanted):
        return None
    its = organizations.find_business(tx, found.organization_id, wanted)
    return (found, its) if its is not None and its.active else None


def _form(request: Request, locale: str, theme: str) -> Response:
    texts = for_locale(locale[:_LOCALE_MAX_CHARACTERS], _language(request))
    config: dict[str, object] = {"mode": "endpoint", "texts": panel_texts(texts)}
    title = texts.gettext("Chat")
    html = looks.page(
        "panel.html",
        texts,
        None,
        theme=theme,
        mode="endpoint",
        title=title,
        messages=(),
        attachments=False,
        composer_action=None,
        config_json=looks.config_json(config),
    )
    # Nothing of anybody's is in it, and what is written goes to the site around it alone.
    return _document(request, html, looks.headers(None, frame_ancestors=_ANYBODY))


def _language(request: Request) -> str:
    """The language that a browser names first."""
    return request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()


def _document(request: Request, html: str, headers: dict[str, str]) -> Response:
    content = html.encode()
    headers = {**headers, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Accept-Language"}
    compressed = gzip.compress(content, _GZIP_LEVEL, mtime=0)
    return scripts.compressed_if_understood(request, content, compressed, "text/html; charset=utf-8", headers)
