"""``/t/{token}``: the links in mails and texts that lead a customer to his conversation.

To look at one has no effect: scanners of mail do. A button spends it, once.
"""

import time
from dataclasses import dataclass
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Connection, insert, select

from shopbell import customer_links, customer_sessions, identity, organizations, texts
from shopbell.clock import lately
from shopbell.customer_links import CustomerLink, CustomerLinks
from shopbell.customer_sessions import VALID_MS
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Api
from shopbell.http.customer import looks
from shopbell.http.customer.access import COOKIE_PREFIX, NoSession, cookie_of
from shopbell.http.customer.forms import check_own_form, read_fields
from shopbell.http.customer.limits import address_of
from shopbell.organizations import Business
from shopbell.storage.customer_schema import dispatches
from shopbell.storage.ids import take_id

_GONE = 410
_SEE_OTHER = 303
_TOKEN_MAX_CHARACTERS = 64
_SHOWN_DIGITS = 2
_NEW_LINK_AFTER_MS = 10 * 60 * 1_000
"""How soon another link is sent to who asks again."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, repr=False)
class _Found:
    link: CustomerLink
    business: Business


@router.post("/t/new-link")
async def send_new_link(request: Request) -> Response:
    """Send a new link to where an old one was sent; the answer is the same whether there was one or not.

    Raises:
        Invalid: 400.
        OriginRefused: 403.
        TooFast: 429.
        StorageError: 503.
    """
    api = cast("Api", request.app.state.api)
    check_own_form(request, api)
    api.limits.new_links_of_address.take(address_of(request))
    token = (await read_fields(request)).get("token", "")
    now_ms = time.time_ns() // 1_000_000
    organization_id = await api.database.write(_promise_new_link, CustomerLinks(api.keys), token, now_ms=now_ms)
    if organization_id is not None:
        api.wakes.announce([organization_id])
    return expired(request, root="../", is_asked=True)


@router.api_route("/t/{token}", methods=["GET", "HEAD"])
async def show_link(request: Request, token: str) -> Response:
    """Show where a link leads, and for whom; nothing happens by that.

    Raises:
        TooFast: 429.
        StorageError: 503.
    """
    api = cast("Api", request.app.state.api)
    api.limits.links_of_address.take(address_of(request))
    found = await api.database.read(_find, CustomerLinks(api.keys), token)
    if found is not None and await _is_known_here(request, api, found.link.thread_id):
        return RedirectResponse(f"../c/{found.link.thread_id}", _SEE_OTHER, {"Cache-Control": "no-store"})
    if found is None or not found.link.is_good(time.time_ns() // 1_000_000):
        return expired(request, root="../", token=token)
    business = found.business
    speaks = texts.for_locale(found.link.customer.locale, business.locale)
    html = looks.page(
        "link.html",
        speaks,
        business.brand_color,
        business_name=business.name,
        masked_address=masked(found.link.address),
    )
    return _page(html, business.brand_color)


@router.post("/t/{token}")
async def spend_link(request: Request, token: str) -> Response:
    """Spend a link: this browser is known to the conversation from then on.

    Raises:
        OriginRefused: 403.
        TooFast: 429.
        StorageError: 503.
    """
    api = cast("Api", request.app.state.api)
    check_own_form(request, api)
    api.limits.links_of_address.take(address_of(request))
    now_ms = time.time_ns() // 1_000_000
    opened = await api.database.write(_open, CustomerLinks(api.keys), token, api.sessions.keys, now_ms=now_ms)
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
        secure=base_url(request, api.settings).startswith("https:"),
    )
    return answer


def expired(request: Request, *, root: str, token: str = "", is_asked: bool = False) -> Response:
    """The page of a link that is good for nothing, whether it ever was or not.

    Args:
        request: names the language.
        root: the way from its address to that of the server.
        token: what a new link is asked for with; empty where there is no such thing.
        is_asked: whether it has been asked for.
    """
    language = request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
    html = looks.page(
        "expired.html",
        texts.for_locale(language),
        None,
        root=root,
        token=token[:_TOKEN_MAX_CHARACTERS],
        is_asked=is_asked,
    )
    return _page(html, None, status=200 if is_asked else _GONE)


def masked(address: str) -> str:
    """An address as only its owner knows it again: ``a•••@example.com``, ``•••67``."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}" if at else f"•••{address[-_SHOWN_DIGITS:]}"


def _page(html: str, color: str | None, status: int = 200) -> Response:
    return HTMLResponse(html, status, {**looks.headers(color, posts_forms=True), "Cache-Control": "no-store"})


async def _is_known_here(request: Request, api: Api, thread_id: int) -> bool:
    """Whether this browser has opened the conversation before: then there is nothing left for a link to do."""
    secret = cookie_of(request.scope, thread_id)
    if secret is None:
        return False
    try:
        session = await api.sessions.session_by(secret)
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
    if link is None or not customer_links.spend(tx, link, now_ms=now_ms):
        return None
    _, secret = customer_sessions.create(
        tx,
        keys,
        link.organization_id,
        "page",
        link.customer.id,
        thread_id=link.thread_id,
        verified=True,
        email=identity.normal_email(link.address) if link.channel == "EMAIL" else None,
        phone=link.address if link.channel != "EMAIL" else None,
        locale=link.customer.locale,
        now_ms=now_ms,
    )
    return link.thread_id, secret


def _promise_new_link(tx: Connection, links: CustomerLinks, token: str, *, now_ms: int) -> int | None:
    """Note that a new link is to be sent; returns for which organization."""
    link = links.find(tx, token)
    if link is None:
        return None
    d = dispatches.c
    # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
    sent = select(d.id).where(
        d.organization_id + 0 == link.organization_id,
        d.thread_id == link.thread_id,
        d.purpose == "link",
        lately(d.created_at_ms, _NEW_LINK_AFTER_MS, now_ms),
    )
    if tx.scalar(sent.limit(1)) is not None:
        return None
    tx.execute(
        insert(dispatches).values(
            organization_id=link.organization_id,
            id=take_id(tx),
            thread_id=link.thread_id,
            channel=link.channel,
            audience="customer",
            purpose="link",
            address=link.address,
            state="waiting",
            due_at_ms=now_ms,
            created_at_ms=now_ms,
        )
    )
    return link.organization_id
