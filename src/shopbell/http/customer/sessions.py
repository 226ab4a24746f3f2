"""``POST /api/customer/sessions`` and ``…/sign-out``: who a browser speaks for, from when on and until when."""

import time
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from shopbell import conversation, customer_sessions, identity_tokens, organizations, publishable_keys, visitors
from shopbell.customer_sessions import CustomerSession
from shopbell.errors import BusinessNotInOrganization, Fault, Forbidden, Invalid, Problem, Unauthorized
from shopbell.http.addresses import base_url
from shopbell.http.api.access import Api
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Fields, Id
from shopbell.http.api.results import Ok
from shopbell.http.customer.access import COOKIE_PREFIX, CustomersBrowser, NoSession, secret_of
from shopbell.http.customer.fields import Locale
from shopbell.http.customer.limits import address_of
from shopbell.identity_tokens import Claims, ExpiredToken, WrongToken
from shopbell.private_keys import SEALING_PURPOSE
from shopbell.private_keys import find as find_private_key
from shopbell.publishable_keys import PublishableKey
from shopbell.sealing import Seals
from shopbell.wakes.signals import Signal

TAG = "customers' browsers and apps"

router = APIRouter(tags=[TAG])


class OriginRefused(Forbidden):
    """403: a key that is none, or a website that may not use it."""

    def __init__(self, developer_message: str) -> None:
        Problem.__init__(self, "This website may not use this chat.", developer_message)


class IdentityRefused(Unauthorized):
    """401: the identity token is over (``reason`` is ``expired``) or is not to be believed (``invalid``)."""

    def __init__(self, reason: str, what: str) -> None:
        details = {"expired": "The identity token has expired; ask the website for a new one."}
        otherwise = "The website's word for who this is cannot be taken."
        Problem.__init__(self, details.get(reason, otherwise), f"Field 'identityToken' {what}")
        self.reason = reason

    def members(self) -> dict[str, object]:
        return {"reason": self.reason}

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="customer"'}


class BeginSession(Fields):
    """What a browser begins with."""

    key: Annotated[str, StringConstraints(max_length=64)] = Field(
        description="The website's publishable key.", examples=["pk_live_0123456789abcdefghijABCD"]
    )
    business_id: Id | None = Field(None, description="The business to write to; needed unless the key is for one.")
    identity_token: str | None = Field(None, description="A JWT of the website's backend that says who its visitor is.")
    locale: Locale | None = Field(None, description="The visitor's language.", examples=["fr"])
    origin: Annotated[str, StringConstraints(max_length=300)] | None = Field(
        None,
        description="The website that shows the widget, where the request itself comes from the widget's own document.",
        examples=["https://shop.example"],
    )


class SessionBegun(Fields):
    """A session."""

    result: str = Field("ok", examples=["ok"])
    session_token: str = Field(
        description="For `Authorization: Bearer …`; kept nowhere here.",
        examples=["sbs_0000000000000000000000000000000000000000000000000"],
    )
    expires_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    verified: bool = Field(description="Whether the website vouches for who it is.", examples=[False])
    customer_thread_id: str | None = Field(description="His conversation, where there is one.", examples=[None])
    customer_id: str | None = Field(
        description="The customer, if the website vouches for them: it changes when someone else signs in.",
        examples=[None],
    )
    ignored_claims: list[str] = Field(
        description="Optional claims of the identity token that are not valid and were left out.", examples=[[]]
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a session is to be, once all about the request has been checked."""

    key: PublishableKey
    business_id: int
    locale: str | None
    claims: Claims | None
    former: CustomerSession | None
    counted_for_session: bool
    """Whether the request has counted for the session that it carries, and not for its address."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A session, who it speaks for, and their conversation."""

    session: CustomerSession
    customer_id: int
    thread_id: int | None


async def _limited(request: Request) -> tuple[Api, CustomerSession | None]:
    """Count the request: for the session that it carries, else for its address.

    Returns:
        What the routes work with, and the widget session that the browser has so far.
    """
    api = cast("Api", request.app.state.api)
    former = await _former(api, request)
    if former is None:
        api.limits.sessions_of_address.take(address_of(request))
    else:
        api.limits.requests.take(former.id)
    return api, former


@router.post("/api/customer/sessions", summary="Begin a session", openapi_extra=described(BeginSession))
async def begin_session(
    counted: Annotated[Any, Depends(_limited)],
    body: Annotated[Body[BeginSession], takes(BeginSession)],
    request: Request,
) -> SessionBegun:
    """Let a visitor's browser write to a business.

    With an identity token it speaks for the customer whom the token names, and for nobody else; 401 with `reason`
    `expired` asks for a new one. Without one it is somebody new. A browser that sends its session along, in
    `Authorization`, takes the conversation that it had before with it. If that session is of the same customer
    already, it goes on with the same `sessionToken`; if it is of another one, it ends.
    """
    api, former = cast("tuple[Api, CustomerSession | None]", counted)
    fields = body.fields
    key: PublishableKey | None = await api.database.read(publishable_keys.find, fields.key)
    if key is None:
        raise OriginRefused("Field 'key' is not a publishable key that is valid")
    check_origin(request, api, key, fields.origin)
    business_id = fields.business_id if key.business_id is None else key.business_id
    if business_id is None:
        raise Invalid([Fault("body", "#/businessId", "required", "is required")])
    if fields.business_id not in (None, business_id):
        raise BusinessNotInOrganization
    claims = None if fields.identity_token is None else await _claims(api, key, fields.identity_token)
    its = former if former is not None and former.organization_id == key.organization_id else None
    asked = _Asked(key, business_id, fields.locale, claims, its, counted_for_session=former is not None)
    begun, secret = await _go_on(api, request, asked) or await _begin_new(api, request, asked)
    session = begun.session
    api.wakes.announce([session.organization_id])
    return SessionBegun(
        session_token=secret,
        expires_at=session.expires_at_ms,
        verified=session.verified,
        customer_thread_id=None if begun.thread_id is None else str(begun.thread_id),
        customer_id=str(begun.customer_id) if session.verified else None,
        ignored_claims=list(claims.ignored) if claims else [],
    )


@router.post("/api/customer/sign-out", summary="End a session")
async def sign_out(visitor: CustomersBrowser, response: Response) -> Ok:
    """End this session: its token is good for nothing within a second. The conversation stays."""

    def work(tx: Connection, session: CustomerSession, now_ms: int) -> None:
        customer_sessions.revoke(tx, session.organization_id, session.id, now_ms=now_ms)

    await visitor.write(work, time.time_ns() // 1_000_000)
    _end_streams(visitor.api, visitor.session)
    if visitor.session.kind == "page":
        response.delete_cookie(f"{COOKIE_PREFIX}{visitor.session.thread_id}", path="/", httponly=True, samesite="lax")
    return Ok()


def _end_streams(api: Api, session: CustomerSession) -> None:
    """End the streams of a session that was ended, in whichever process they are."""
    data = {"from": "customer", "sessionId": session.id}
    api.wakes.signal(Signal(session.organization_id, 0, 0, "ended", data))


def check_origin(request: Request, api: Api, key: PublishableKey, shown_on: str | None) -> None:
    """Let only the sites of a key use it.

    Args:
        request: names its origin, as every browser does with a request that writes.
        api: what the routes work with.
        key: says which sites.
        shown_on: the site that shows the widget, when the request comes from the widget's own document.

    Raises:
        OriginRefused: 403.
    """
    own = own_origins(request, api)
    origin = request.headers.get("origin")
    if origin is None:
        raise OriginRefused("Header 'origin' is missing: sessions are for browsers")
    if origin not in own and not key.allows(origin):
        raise OriginRefused("Header 'origin' is not one of the key's allowed origins; make a key that names it")
    if origin in own and shown_on is None:
        raise OriginRefused("Field 'origin' is missing: it names the website that shows the widget")
    if shown_on is not None and shown_on not in own and not key.allows(shown_on):
        raise OriginRefused("Field 'origin' is not one of the key's allowed origins; make a key that names it")


def own_origins(request: Request, api: Api) -> set[str]:
    """The origins of this server's own pages, as far as this request can come from them.

    Where the operator sets the public URL, the request's own ``Host`` is ignored: an attacker who points a foreign name
    at this server chooses it.
    """
    addresses = [urlsplit(base_url(request, api.settings))]
    if api.settings.public_url is None and (host := request.headers.get("host")):
        # No site can make a browser send another host than the one that it asks.
        addresses.append(urlsplit(f"{request.url.scheme}://{host}"))
    return {f"{address.scheme}://{address.netloc}".lower() for address in addresses}


async def _claims(api: Api, key: PublishableKey, token: str) -> Claims:
    private_key = await api.database.read(find_private_key, key.organization_id, Seals(api.keys, SEALING_PURPOSE))
    if private_key is None:
        raise IdentityRefused("invalid", "cannot be checked: the organization has no private key yet")
    audiences = (key.key, str(key.organization_id))
    try:
        return identity_tokens.read(token, private_key, audiences, now_s=time.time())
    except ExpiredToken as error:
        raise IdentityRefused("expired", str(error)) from None
    except WrongToken as error:
        raise IdentityRefused("invalid", str(error)) from None


async def _former(api: Api, request: Request) -> CustomerSession | None:
    """The widget session that the browser had so far; one that is over is none."""
    if secret_of(request.scope) is None:
        return None
    try:
        found = await api.sessions.session_of(request.scope)
    except NoSession:
        return None
    return found if found.kind == "widget" else None


async def _go_on(api: Api, request: Request, asked: _Asked) -> tuple[_Begun, str] | None:
    """Go on with the session that the browser has, if the site vouches for the same customer.

    Returns:
        The session and its token; None if a new session must begin.
    """
    former, claims, secret = asked.former, asked.claims, secret_of(request.scope)
    if former is None or claims is None or secret is None or former.business_id != asked.business_id:
        return None
    begun = await api.database.write(_renew, former, claims, now_ms=time.time_ns() // 1_000_000)
    return None if begun is None else (begun, secret)


def _renew(tx: Connection, former: CustomerSession, claims: Claims, *, now_ms: int) -> _Begun | None:
    if not visitors.is_same(tx, former, claims):
        return None
    customer_id = visitors.recognise(tx, former.organization_id, claims, now_ms=now_ms)
    email, phone = visitors.own_identities(tx, former.organization_id, customer_id, claims)
    renewed = customer_sessions.renew(tx, former, email=email, phone=phone, now_ms=now_ms)
    return None if renewed is None else _Begun(renewed, customer_id, _thread_of(tx, renewed))


async def _begin_new(api: Api, request: Request, asked: _Asked) -> tuple[_Begun, str]:
    """Begin a session. The former one, anonymous or of another customer, ends if the site vouches for a customer."""
    if asked.counted_for_session:
        api.limits.sessions_of_address.take(address_of(request))
    api.limits.sessions_of_key.take(asked.key.id)
    api.limits.sessions_of_organization.take(asked.key.organization_id)
    begun = await api.database.write(_begin, asked, api.sessions.keys, now_ms=time.time_ns() // 1_000_000)
    if asked.former is not None and asked.claims is not None:
        _end_streams(api, asked.former)
    return begun


def _begin(tx: Connection, asked: _Asked, keys: tuple[bytes, ...], *, now_ms: int) -> tuple[_Begun, str]:
    organization_id, claims, former = asked.key.organization_id, asked.claims, asked.former
    business = organizations.find_business(tx, organization_id, asked.business_id)
    if business is None or not business.active:
        raise BusinessNotInOrganization
    locale = asked.locale or (claims.locale if claims else None)
    email = phone = None
    if claims is not None:
        customer_id = visitors.recognise(tx, organization_id, claims, now_ms=now_ms)
        email, phone = visitors.own_identities(tx, organization_id, customer_id, claims)
        if former is not None:
            visitors.join(tx, former, customer_id)
            customer_sessions.revoke(tx, organization_id, former.id, now_ms=now_ms)
    else:
        customer_id = visitors.arrive(tx, organization_id, locale, now_ms=now_ms)
    session, secret = customer_sessions.create(
        tx,
        keys,
        organization_id,
        "widget",
        customer_id,
        business_id=business.id,
        verified=claims is not None,
        email=email,
        phone=phone,
        locale=locale,
        now_ms=now_ms,
    )
    return _Begun(session, customer_id, _thread_of(tx, session)), secret


def _thread_of(tx: Connection, session: CustomerSession) -> int | None:
    """The conversation of a session, if it has any message."""
    threads = customer_sessions.threads_of(tx, session)
    seen = conversation.state(tx, session.organization_id, threads[-1]) if threads else None
    return seen.thread_id if seen and seen.last_sequence else None
