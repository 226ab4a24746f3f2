"""``POST /api/customer/sessions`` and ``…/sign-out``: start and end the session of a browser."""

import time
from dataclasses import dataclass
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints
from sqlalchemy import Connection

from shopbell.conversations import customer_view
from shopbell.customers import identities, identity_tokens, sessions, visitors
from shopbell.customers.identity_tokens import Claims, ExpiredToken, WrongToken
from shopbell.customers.sessions import CustomerSession
from shopbell.errors import FieldError, Invalid, RequestError
from shopbell.http.request.app_services import Services
from shopbell.http.request.customer_sessions import COOKIE_PREFIX, NoSession, secret_of
from shopbell.http.request.errors import BusinessNotInOrganization, Unauthorized
from shopbell.http.request.fields import Fields, Id, Locale
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.origins import OriginRefused, own_origins
from shopbell.http.request.results import Ok
from shopbell.http.request.visitor import CurrentVisitor
from shopbell.http.request.visitor_limits import address_of
from shopbell.organizations import organizations, publishable_keys
from shopbell.organizations.identity_secrets import SEALING_PURPOSE
from shopbell.organizations.identity_secrets import find as find_private_key
from shopbell.organizations.publishable_keys import PublishableKey
from shopbell.realtime.signals import Signal
from shopbell.runtime import clock
from shopbell.security.encryption import Cipher

TAG = "customers' browsers and apps"

router = APIRouter(tags=[TAG])


class IdentityRefused(Unauthorized):
    """401: the identity token has expired (``reason`` ``expired``) or is not valid (``invalid``)."""

    def __init__(self, reason: str, what: str) -> None:
        details = {"expired": "The identity token has expired. Ask the website for a new one."}
        otherwise = "The identity token of the website is not valid."
        RequestError.__init__(self, details.get(reason, otherwise), f"Field 'identityToken' {what}")
        self.reason = reason

    def members(self) -> dict[str, object]:
        return {"reason": self.reason}

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="customer"'}


class BeginSession(Fields):
    """The request for a session."""

    key: Annotated[str, StringConstraints(max_length=64)] = Field(
        description="The publishable key of the website.", examples=["pk_live_0123456789abcdefghijABCD"]
    )
    business_id: Id | None = Field(
        None, description="The business to write to. Required unless the key is for one business."
    )
    identity_token: str | None = Field(
        None, description="A JWT from the backend of the website that identifies the visitor."
    )
    locale: Locale | None = Field(None, description="The visitor's language.", examples=["fr"])
    origin: Annotated[str, StringConstraints(max_length=300)] | None = Field(
        None,
        description="The website that shows the widget, if the request comes from the document of the widget.",
        examples=["https://shop.example"],
    )


class SessionBegun(Fields):
    """A session."""

    result: str = Field("ok", examples=["ok"])
    session_token: str = Field(
        description="For `Authorization: Bearer …`. The server does not store it.",
        examples=["sbs_0000000000000000000000000000000000000000000000000"],
    )
    expires_at: int = Field(description="In Unix milliseconds.", examples=[1700000000000])
    verified: bool = Field(description="Whether the website has verified the visitor.", examples=[False])
    customer_thread_id: str | None = Field(description="The conversation, if there is one.", examples=[None])
    customer_id: str | None = Field(
        description="The verified customer. It changes when another customer signs in.",
        examples=[None],
    )
    ignored_claims: list[str] = Field(
        description="Optional claims of the identity token that are not valid and were ignored.", examples=[[]]
    )


@dataclass(frozen=True, slots=True)
class _SessionRequest:
    """A checked request for a session."""

    key: PublishableKey
    business_id: int
    locale: str | None
    claims: Claims | None
    former: CustomerSession | None
    counted_for_session: bool
    """Whether the request was counted for its previous session, not for its address."""


@dataclass(frozen=True, slots=True)
class _StartedSession:
    """A session, its customer and their conversation."""

    session: CustomerSession
    customer_id: int
    thread_id: int | None


async def _limited(request: Request) -> tuple[Services, CustomerSession | None]:
    """Count the request for its previous session, or else for its address.

    Returns:
        What the routes work with, and the previous session of the browser.
    """
    services = cast("Services", request.app.state.services)
    former = await _former(services, request)
    if former is None:
        services.limits.sessions_of_address.take(address_of(request))
    else:
        services.limits.requests.take(former.id)
    return services, former


@router.post("/api/customer/sessions", summary="Start a session", openapi_extra=body_schema(BeginSession))
async def begin_session(
    counted: Annotated[Any, Depends(_limited)],
    body: Annotated[Body[BeginSession], json_body(BeginSession)],
    request: Request,
) -> SessionBegun:
    """Start a session, with which the browser of a visitor can write to a business.

    With an identity token, the session belongs to the customer of that token; 401 with `reason` `expired` asks for a
    new token. Without one, the visitor is a new customer. A browser that sends its previous session in `Authorization`
    keeps its conversation. If that session belongs to the same customer, it continues with the same `sessionToken`; if
    it belongs to another one, it ends.
    """
    services, former = cast("tuple[Services, CustomerSession | None]", counted)
    fields = body.fields
    key: PublishableKey | None = await services.database.read(publishable_keys.find, fields.key)
    if key is None:
        raise OriginRefused("Field 'key' is not a valid publishable key")
    check_origin(request, services, key, fields.origin)
    business_id = fields.business_id if key.business_id is None else key.business_id
    if business_id is None:
        raise Invalid([FieldError("businessId", "required", "is required")])
    if fields.business_id not in (None, business_id):
        raise BusinessNotInOrganization
    claims = None if fields.identity_token is None else await _claims(services, key, fields.identity_token)
    its = former if former is not None and former.organization_id == key.organization_id else None
    asked = _SessionRequest(key, business_id, fields.locale, claims, its, counted_for_session=former is not None)
    begun, secret = await _continue(services, request, asked) or await _start(services, request, asked)
    session = begun.session
    services.pubsub.publish([session.organization_id])
    return SessionBegun(
        session_token=secret,
        expires_at=session.expires_at_ms,
        verified=session.verified,
        customer_thread_id=None if begun.thread_id is None else str(begun.thread_id),
        customer_id=str(begun.customer_id) if session.verified else None,
        ignored_claims=list(claims.ignored) if claims else [],
    )


@router.post("/api/customer/sign-out", summary="End a session")
async def sign_out(visitor: CurrentVisitor, response: Response) -> Ok:
    """End this session. Its token stops working within a second. The conversation stays."""

    def work(tx: Connection, session: CustomerSession, now_ms: int) -> None:
        sessions.revoke(tx, session.organization_id, session.id, now_ms=now_ms)

    await visitor.write(work, clock.now_ms())
    _end_streams(visitor.services, visitor.session)
    if visitor.session.kind == "page":
        response.delete_cookie(f"{COOKIE_PREFIX}{visitor.session.thread_id}", path="/", httponly=True, samesite="lax")
    return Ok()


def _end_streams(services: Services, session: CustomerSession) -> None:
    """End the streams of an ended session in all processes."""
    data = {"from": "customer", "sessionId": session.id}
    services.pubsub.signal(Signal(session.organization_id, 0, 0, "ended", data))


def check_origin(request: Request, services: Services, key: PublishableKey, shown_on: str | None) -> None:
    """Require that the website may use the key.

    Args:
        request: has an origin, as browsers send it with every request that writes.
        services: what the routes work with.
        key: has the allowed origins.
        shown_on: the site that shows the widget, if the request comes from the document of the widget.

    Raises:
        OriginRefused: 403.
    """
    own = own_origins(request, services)
    origin = request.headers.get("origin")
    if origin is None:
        raise OriginRefused("Header 'origin' is missing: sessions are for browsers")
    if origin not in own and not key.allows(origin):
        raise OriginRefused("Header 'origin' is not an allowed origin of the key; create a key with it")
    if origin in own and shown_on is None:
        raise OriginRefused("Field 'origin' is missing: it names the website that shows the widget")
    if shown_on is not None and shown_on not in own and not key.allows(shown_on):
        raise OriginRefused("Field 'origin' is not an allowed origin of the key; create a key with it")


async def _claims(services: Services, key: PublishableKey, token: str) -> Claims:
    private_key = await services.database.read(
        find_private_key, key.organization_id, Cipher(services.keys, SEALING_PURPOSE)
    )
    if private_key is None:
        raise IdentityRefused("invalid", "cannot be verified: the organization has no private key yet")
    audiences = (key.key, str(key.organization_id))
    try:
        return identity_tokens.read(token, private_key, audiences, now_s=time.time())
    except ExpiredToken as error:
        raise IdentityRefused("expired", str(error)) from None
    except WrongToken as error:
        raise IdentityRefused("invalid", str(error)) from None


async def _former(services: Services, request: Request) -> CustomerSession | None:
    """Return the previous widget session of the browser, if it is still valid."""
    if secret_of(request.scope) is None:
        return None
    try:
        found = await services.sessions.session_of(request.scope)
    except NoSession:
        return None
    return found if found.kind == "widget" else None


async def _continue(services: Services, request: Request, asked: _SessionRequest) -> tuple[_StartedSession, str] | None:
    """Continue the previous session if the identity token is of the same customer.

    Returns:
        The session and its token; None if a new session must start.
    """
    former, claims, secret = asked.former, asked.claims, secret_of(request.scope)
    if former is None or claims is None or secret is None or former.business_id != asked.business_id:
        return None
    begun = await services.database.write(_renew, former, claims, now_ms=clock.now_ms())
    return None if begun is None else (begun, secret)


def _renew(tx: Connection, former: CustomerSession, claims: Claims, *, now_ms: int) -> _StartedSession | None:
    if not visitors.is_same(tx, former, claims):
        return None
    customer_id = visitors.identify(tx, former.organization_id, claims, now_ms=now_ms)
    email, phone = visitors.own_identities(tx, former.organization_id, customer_id, claims)
    renewed = sessions.renew(tx, former, email=email, phone=phone, now_ms=now_ms)
    return None if renewed is None else _StartedSession(renewed, customer_id, _thread_of(tx, renewed))


async def _start(services: Services, request: Request, asked: _SessionRequest) -> tuple[_StartedSession, str]:
    """Start a session. With an identity token, the previous one ends: it was anonymous or of another customer."""
    if asked.counted_for_session:
        services.limits.sessions_of_address.take(address_of(request))
    services.limits.sessions_of_key.take(asked.key.id)
    services.limits.sessions_of_organization.take(asked.key.organization_id)
    begun = await services.database.write(_begin, asked, services.sessions.keys, now_ms=clock.now_ms())
    if asked.former is not None and asked.claims is not None:
        _end_streams(services, asked.former)
    return begun


def _begin(
    tx: Connection, asked: _SessionRequest, keys: tuple[bytes, ...], *, now_ms: int
) -> tuple[_StartedSession, str]:
    organization_id, claims, former = asked.key.organization_id, asked.claims, asked.former
    business = organizations.find_business(tx, organization_id, asked.business_id)
    if business is None or not business.active:
        raise BusinessNotInOrganization
    locale = asked.locale or (claims.locale if claims else None)
    email = phone = None
    if claims is not None:
        customer_id = visitors.identify(tx, organization_id, claims, now_ms=now_ms)
        email, phone = visitors.own_identities(tx, organization_id, customer_id, claims)
        if former is not None:
            visitors.merge_into(tx, former, customer_id)
            sessions.revoke(tx, organization_id, former.id, now_ms=now_ms)
    else:
        customer_id = identities.create_anonymous(tx, organization_id, locale, now_ms=now_ms)
    session, secret = sessions.create(
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
    return _StartedSession(session, customer_id, _thread_of(tx, session)), secret


def _thread_of(tx: Connection, session: CustomerSession) -> int | None:
    """Return the conversation of a session, if it has a message."""
    threads = sessions.threads_of(tx, session)
    seen = customer_view.state(tx, session.organization_id, threads[-1]) if threads else None
    return seen.thread_id if seen and seen.last_sequence else None
