"""The files of the widget: ``/widget.js``, the panel with its script and style, and the shop page of the demo."""

import gzip
from typing import cast

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell.errors import NotFound
from shopbell.http.branding import assets, branded_page
from shopbell.http.branding.texts import panel_texts
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.language import preferred_language
from shopbell.http.request.local_client import is_local_client
from shopbell.i18n.translations import for_locale
from shopbell.operations.demo import BUSINESSES, Demo
from shopbell.organizations import organizations, publishable_keys
from shopbell.organizations.organizations import Business
from shopbell.organizations.publishable_keys import PublishableKey
from shopbell.runtime import clock

PANEL_FILES = (
    "looks.js",
    "form.js",
    "panel.js",
    "panel.css",
    "conversation.js",
    "conversation.css",
    "demo.js",
    "demo.css",
)
THEMES = ("auto", "light", "dark")
_LOCALE_MAX_CHARACTERS = 35
_ID_MAX_DIGITS = 16
_ANYBODY = ("*",)
_GZIP_LEVEL = 6  # a panel is rendered and compressed for each request

router = APIRouter(include_in_schema=False)


@router.api_route("/widget.js", methods=["GET", "HEAD"])
def loader(request: Request) -> Response:
    """Serve the loader, which websites embed."""
    return assets.answer(request, "widget.js")


@router.api_route("/widget/panel", methods=["GET", "HEAD"])
async def panel(
    request: Request, key: str = "", business: str = "", locale: str = "", theme: str = THEMES[0]
) -> Response:
    """Serve the document in the frame of the widget. Without a key, it has a form that posts to the website.

    Raises:
        NotFound: 404; the key is unknown, not for this business, or the business is not active.
        StorageError: 503.
    """
    theme = theme if theme in THEMES else THEMES[0]
    if not key:
        return _form(request, locale, theme)
    services = cast("Services", request.app.state.services)
    found = await services.database.read(find_shown, key, business)
    if found is None:
        raise NotFound
    its_key, its_business = found
    texts = for_locale(locale[:_LOCALE_MAX_CHARACTERS], preferred_language(request), its_business.locale)
    can_attach = services.attachment_store is not None
    config = branded_page.conversation_config(
        texts,
        its_business,
        attachments=can_attach,
        attachment_limit_bytes=services.settings.attachment_limit_bytes,
        now_ms=clock.now_ms(),
    )
    html = branded_page.render(
        "panel.html",
        texts,
        its_business.brand_color,
        theme=theme,
        mode="key",
        title=its_business.name,
        messages=(),
        attachments=can_attach,
        composer_action=None,
        config_json=branded_page.config_json({**config, "mode": "key", "key": key, "allowedOrigins": its_key.origins}),
    )
    ancestors = ("'self'", *its_key.origins)
    return _document(request, html, branded_page.headers(its_business.brand_color, frame_ancestors=ancestors))


@router.api_route("/widget/{name}", methods=["GET", "HEAD"])
def panel_file(request: Request, name: str) -> Response:
    """Serve a file of the panel or the conversation page.

    Raises:
        NotFound: 404, there is no such file.
    """
    if name not in PANEL_FILES:
        raise NotFound
    return assets.answer(request, name)


@router.api_route("/demo", methods=["GET", "HEAD"])
def demo_shop(request: Request) -> Response:
    """Show the shop page of the demo, with the widget.

    Raises:
        NotFound: 404; this is not the demo.
    """
    demo: Demo | None = request.app.state.demo
    if demo is None or not demo.publishable_key:
        raise NotFound
    texts = for_locale("en")
    html = branded_page.render(
        "demo.html",
        texts,
        None,
        name=BUSINESSES[0]["name"],
        key=demo.publishable_key,
        business_id=demo.business_ids[0],
        base=base_url(request, request.app.state.settings),
        # It opens all conversations of the demo, so it is shown only to clients on this machine.
        token=demo.token if is_local_client(request) else None,
    )
    # The first page shows it next to the inbox.
    return _document(request, html, branded_page.headers(None, frame_ancestors=["'self'"], shows_panel=True))


def find_shown(tx: Connection, key: str, business: str) -> tuple[PublishableKey, Business] | None:
    """Return the business of a panel, or None if customers cannot write to it with this key.

    Args:
        tx: the transaction.
        key: a publishable key.
        business: the id of a business as sent; empty if there is only one.
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
    texts = for_locale(locale[:_LOCALE_MAX_CHARACTERS], preferred_language(request))
    config: dict[str, object] = {"mode": "endpoint", "texts": panel_texts(texts)}
    title = texts.gettext("Chat")
    html = branded_page.render(
        "panel.html",
        texts,
        None,
        theme=theme,
        mode="endpoint",
        title=title,
        messages=(),
        attachments=False,
        composer_action=None,
        config_json=branded_page.config_json(config),
    )
    # It has no data of anyone, and sends what is written only to the website around it.
    return _document(request, html, branded_page.headers(None, frame_ancestors=_ANYBODY))


def _document(request: Request, html: str, headers: dict[str, str]) -> Response:
    content = html.encode()
    headers = {**headers, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Accept-Language"}
    compressed = gzip.compress(content, _GZIP_LEVEL, mtime=0)
    return assets.compressed_if_supported(request, content, compressed, "text/html; charset=utf-8", headers)
