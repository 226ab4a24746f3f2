"""``/t/{token}``: the links in emails and SMS that lead customers to their conversation.

Opening a link changes nothing, because mail scanners open links. A button on the page consumes it, once.
"""

from dataclasses import dataclass
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection

from shopbell.customers import magic_links, sessions
from shopbell.customers.magic_links import CustomerLink, CustomerLinks
from shopbell.customers.sessions import VALID_MS
from shopbell.formats import identities
from shopbell.http.branding import branded_page
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.customer_sessions import COOKIE_PREFIX, NoSession, cookie_of
from shopbell.http.request.forms import read_form
from shopbell.http.request.language import preferred_language
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.visitor_limits import address_of
from shopbell.i18n import translations
from shopbell.notifications import new_links
from shopbell.organizations import organizations
from shopbell.organizations.organizations import Business
from shopbell.runtime import clock

_GONE = 410
_SEE_OTHER = 303
_TOKEN_MAX_CHARACTERS = 64
_SHOWN_DIGITS = 2

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    link: CustomerLink
    business: Business


@router.post("/t/new-link")
async def send_new_link(request: Request) -> Response:
    """Send a new link to the address of an old one. The response is the same whether the old one existed or not.

    Raises:
        Invalid: 400.
        OriginRefused: 403.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    check_own_form(request, services)
    services.limits.new_links_of_address.take(address_of(request))
    token = (await read_form(request)).get("token", "")
    now_ms = clock.now_ms()
    links = CustomerLinks(services.keys)
    organization_id = await services.database.write(new_links.request, links, token, now_ms=now_ms)
    if organization_id is not None:
        services.pubsub.publish([organization_id])
    return expired(request, root="../", is_asked=True)


@router.api_route("/t/{token}", methods=["GET", "HEAD"])
async def show_link(request: Request, token: str) -> Response:
    """Show the business and the masked address of a link. Nothing changes.

    Raises:
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    services.limits.links_of_address.take(address_of(request))
    found = await services.database.read(_find, CustomerLinks(services.keys), token)
    if found is not None and await _is_known_here(request, services, found.link.thread_id):
        return RedirectResponse(f"../c/{found.link.thread_id}", _SEE_OTHER, {"Cache-Control": "no-store"})
    if found is None or not found.link.is_good(clock.now_ms()):
        return expired(request, root="../", token=token)
    business = found.business
    speaks = translations.for_locale(found.link.customer.locale, business.locale)
    html = branded_page.render(
        "link.html",
        speaks,
        business.brand_color,
        business_name=business.name,
        masked_address=masked(found.link.address),
    )
    return _page(html, business.brand_color)


@router.post("/t/{token}")
async def spend_link(request: Request, token: str) -> Response:
    """Consume a link: this browser gets the cookie of the conversation.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    check_own_form(request, services)
    services.limits.links_of_address.take(address_of(request))
    now_ms = clock.now_ms()
    opened = await services.database.write(
        _open, CustomerLinks(services.keys), token, services.sessions.keys, now_ms=now_ms
    )
    if opened is None:
        return expired(request, root="../", token=token)
    thread_id, secret = opened
    answer = RedirectResponse(f"../c/{thread_id}", _SEE_OTHER, {"Cache-Control": "no-store"})
    answer.set_cookie(
        f"{COOKIE_PREFIX}{thread_id}",
        secret,
        max_age=VALID_MS // 1_000,
        path="/",
        httponly=True,
        samesite="lax",
        secure=base_url(request, services.settings).startswith("https:"),
    )
    return answer


def expired(request: Request, *, root: str, token: str = "", is_asked: bool = False) -> Response:
    """Return the page of an expired or unknown link.

    Args:
        request: has the language.
        root: the relative path to the root of the server.
        token: the token for requesting a new link; empty if that is not possible.
        is_asked: whether a new link was requested.
    """
    html = branded_page.render(
        "expired.html",
        translations.for_locale(preferred_language(request)),
        None,
        root=root,
        token=token[:_TOKEN_MAX_CHARACTERS],
        is_asked=is_asked,
    )
    return _page(html, None, status=200 if is_asked else _GONE)


def masked(address: str) -> str:
    """Mask an address so that only its owner recognizes it: ``a•••@example.com``, ``•••67``."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}" if at else f"•••{address[-_SHOWN_DIGITS:]}"


def _page(html: str, color: str | None, status: int = 200) -> Response:
    return HTMLResponse(html, status, {**branded_page.headers(color, posts_forms=True), "Cache-Control": "no-store"})


async def _is_known_here(request: Request, services: Services, thread_id: int) -> bool:
    """Return whether this browser already has the cookie of the conversation."""
    secret = cookie_of(request.scope, thread_id)
    if secret is None:
        return False
    try:
        session = await services.sessions.session_by(secret)
    except NoSession:
        return False
    return session.kind == "page" and session.thread_id == thread_id


def _find(tx: Connection, links: CustomerLinks, token: str) -> _Found | None:
    link = links.find(tx, token)
    business = None if link is None else organizations.find_business(tx, link.organization_id, link.business_id)
    return None if link is None or business is None else _Found(link, business)


def _open(
    tx: Connection, links: CustomerLinks, token: str, keys: tuple[bytes, ...], *, now_ms: int
) -> tuple[int, str] | None:
    link = links.find(tx, token)
    if link is None or not magic_links.consume(tx, link, now_ms=now_ms):
        return None
    _, secret = sessions.create(
        tx,
        keys,
        link.organization_id,
        "page",
        link.customer.id,
        thread_id=link.thread_id,
        verified=True,
        email=identities.normal_email(link.address) if link.channel == "EMAIL" else None,
        phone=link.address if link.channel != "EMAIL" else None,
        locale=link.customer.locale,
        now_ms=now_ms,
    )
    return link.thread_id, secret
