"""``/oidc``: sign in with an OpenID Connect provider.

This is the authorization code flow with PKCE. It works without JavaScript. An encrypted cookie binds the response to
the browser for ten minutes, so that an attacker cannot make another browser use their code. Every failure leads back
with the same text; the log tells the operator the reason.
"""

import json
import secrets
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import quote

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from shopbell.accounts import invitations, oidc_identities, oidc_provider, oidc_sign_in, sessions
from shopbell.accounts.id_tokens import CLOCK_ERROR_S, Claims, WrongIdToken
from shopbell.accounts.oidc_identities import IdentityRefused
from shopbell.accounts.oidc_provider import OidcProvider, ProviderFailure
from shopbell.accounts.sessions import EmployeeSession
from shopbell.errors import NotFound, SettingsError
from shopbell.http.accounts.account_page import ACCOUNT, OIDC_FAULT, next_of, redirect, services_of, signed_in
from shopbell.http.accounts.sign_in import Opened
from shopbell.http.request import cookies
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.origins import check_own_link
from shopbell.http.request.visitor_limits import address_of
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher

router = APIRouter(include_in_schema=False)

COOKIE = "shopbell_oidc"
FLOW_S = 600
"""How long an employee may take at the provider."""

_CIPHER_PURPOSE = "oidc flow"
_CALLBACK = "/oidc/callback"
_RANDOM_BYTES = 32
_SEE_OTHER = 303
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, repr=False)
class _Flow:
    """A browser on its way to the provider and back.

    Args:
        begun_at_ms: when it left, in Unix ms.
        purpose: what to do when the browser is back.
        asks_again: whether the provider must ask for a factor again.
        next_page: the page to show then.
        session_id: the session in which the employee links an identity.
        invitation: the token of the invitation that is accepted.
    """

    request: oidc_provider.Request
    begun_at_ms: int
    purpose: Literal["sign-in", "link", "invitation"]
    asks_again: bool = False
    next_page: str = ""
    session_id: int = 0
    invitation: str = ""

    @property
    def origin(self) -> str:
        """The page on which it began."""
        if self.purpose == "invitation":
            return f"{invitations.PATH.lstrip('/')}{quote(self.invitation, safe='')}?{OIDC_FAULT}"
        if self.purpose == "link":
            return f"{ACCOUNT}?{OIDC_FAULT}"
        page = "account/confirm" if self.asks_again else "sign-in"
        return f"{page}?{OIDC_FAULT}" + (f"&next={quote(self.next_page)}" if self.next_page else "")


@router.get("/oidc/start")
async def start(request: Request) -> Response:
    """Send the browser to the provider.

    Parameters: ``link`` adds an identity to the account that is signed in; ``invitation`` accepts an invitation, whose
    token it is; ``again`` asks the provider for a factor even if the employee is signed in there.

    Raises:
        NotFound: 404; there is no provider.
        OriginRefused: 403; the link is not on a page of this server.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = services_of(request)
    provider = _provider(services)
    services.limits.sign_ins_of_address.take(address_of(request))
    query = request.query_params
    flow = _Flow(
        oidc_provider.Request(
            base_url(request, services.settings) + _CALLBACK, *(secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        ),
        begun_at_ms=now_ms(),
        purpose="link" if "link" in query else "invitation" if "invitation" in query else "sign-in",
        asks_again="again" in query,
        next_page=next_of(query.get("next", "")),
        invitation=query.get("invitation", ""),
    )
    if flow.purpose != "sign-in":
        # Another site must not choose which account or invitation the browser's identity is linked with.
        check_own_link(request, services)
    session = None
    if flow.purpose == "link":
        try:
            session = (await services.employees.signed_in(request.scope)).session
        except NotSignedIn:
            return redirect(request, f"sign-in?next={ACCOUNT}")
        if not session.is_fresh(now_ms()):
            return redirect(request, f"account/confirm?next={ACCOUNT}")
    try:
        url = await provider.authorization_url(flow.request, asks_again=flow.asks_again)
    except ProviderFailure as failure:
        return _failed(request, flow, failure)
    response = RedirectResponse(url, _SEE_OTHER, _HEADERS)
    document = asdict(flow) | {"session_id": session.id if session else 0}
    response.set_cookie(
        services.employees.cookie_name(request.scope, COOKIE),
        # Without padding: a value with "=" is put in quotes, which browsers send back.
        Cipher(services.keys, _CIPHER_PURPOSE).encrypt(json.dumps(document)).rstrip("="),
        max_age=FLOW_S,
        path="/",
        httponly=True,
        samesite="lax",  # the browser comes back from another site
        secure=services.employees.is_secure(request.scope),
    )
    return response


@router.get(_CALLBACK)
async def come_back(request: Request) -> Response:
    """Check the provider's response, and sign in, link or accept.

    The session gets a new token.

    Raises:
        NotFound: 404; there is no provider.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = services_of(request)
    provider = _provider(services)
    services.limits.sign_ins_of_address.take(address_of(request))
    flow, query = _flow_of(request, services), request.query_params
    if flow is None or query.get("state") != flow.request.state or len(query.multi_items()) != len(query):
        # The cookie stays: another site may have sent the request while the employee is at the provider.
        return _failed(request, None, "the browser did not begin it here, or began it more than ten minutes ago")
    try:
        code = await provider.code_of(query)
        claims = await provider.claims(flow.request, code, now_s=now_ms() // 1_000)
        _check(flow, claims, provider)
        opened = await _finish(request, services, provider, flow, claims)
    except (ProviderFailure, WrongIdToken, IdentityRefused) as failure:
        response = _failed(request, flow, failure)
    except NotSignedIn:
        response = _failed(request, flow, "the session that began it has ended")
    else:
        response = signed_in(
            request, opened.secret, opened.stage, ACCOUNT if flow.purpose == "link" else flow.next_page
        )
    response.headers.update(_HEADERS)
    response.delete_cookie(
        services.employees.cookie_name(request.scope, COOKIE),
        path="/",
        httponly=True,
        samesite="lax",
        secure=services.employees.is_secure(request.scope),
    )
    return response


def _provider(services: Services) -> OidcProvider:
    if services.oidc is None:
        raise NotFound
    return services.oidc


def _check(flow: _Flow, claims: Claims, provider: OidcProvider) -> None:
    if not oidc_provider.is_allowed(claims, provider.domains):
        raise IdentityRefused("it has no verified address in SHOPBELL_OIDC_ALLOWED_DOMAINS")
    if flow.asks_again and _factor_at_ms(claims, flow.begun_at_ms) < flow.begun_at_ms - CLOCK_ERROR_S * 1_000:
        raise IdentityRefused("the provider did not ask for a factor again, or does not say so (auth_time)")


def _factor_at_ms(claims: Claims, now_ms: int) -> int:
    """The time of the last factor at the provider; 0 if it should tell and does not."""
    if claims.authenticated_at_s is not None:
        return claims.authenticated_at_s * 1_000
    # Some providers cannot be made to ask again, and do not tell the time. With them, a new sign-in counts.
    return 0 if claims.should_tell_time else now_ms


async def _finish(request: Request, services: Services, provider: OidcProvider, flow: _Flow, claims: Claims) -> Opened:
    employees, issuer = services.employees, provider.issuer
    if flow.purpose == "link":
        session = (await employees.signed_in(request.scope)).session
        if session.id != flow.session_id:
            raise IdentityRefused("it was begun in another session")
        return await services.database.write(_link, services, session, issuer, claims)
    before, agent = await employees.of_any_stage(request.scope), request.headers.get("user-agent", "")

    def work(tx: Connection) -> Opened:
        at_ms = now_ms()
        if flow.purpose == "invitation":
            keys = employees.invitation_keys
            account = oidc_sign_in.accept_invitation(tx, keys, flow.invitation, issuer, claims, now_ms=at_ms)
        else:
            account = oidc_sign_in.find_account(tx, issuer, claims, provider.domains, now_ms=at_ms)
        if before is not None:
            sessions.end(tx, before.organization_id, before.employee_id, before.id, now_ms=at_ms)
        of, stage = (account.organization_id, account.employee_id), "full" if claims.is_multi_factor else account.stage
        factor_at_ms = _factor_at_ms(claims, at_ms)
        _, secret = sessions.create(
            tx, employees.keys, *of, stage, agent=agent, factor_at_ms=factor_at_ms, now_ms=at_ms
        )
        return Opened(stage, secret)

    return await services.database.write(work)


def _link(tx: Connection, services: Services, session: EmployeeSession, issuer: str, claims: Claims) -> Opened:
    at_ms = now_ms()
    oidc_identities.link(tx, session.organization_id, session.employee_id, issuer, claims, now_ms=at_ms)
    return Opened("full", services.employees.advance(tx, session, "full", now_ms=at_ms))


def _flow_of(request: Request, services: Services) -> _Flow | None:
    """Return the flow in a request's cookie if it began in the last ten minutes."""
    sealed = cookies.value_of(request.scope, services.employees.cookie_name(request.scope, COOKIE)) or ""
    try:
        document = json.loads(Cipher(services.keys, _CIPHER_PURPOSE).open(sealed + "=" * (-len(sealed) % 4)))
        flow = _Flow(**document | {"request": oidc_provider.Request(**document["request"])})
    except (SettingsError, ValueError, TypeError, KeyError):  # not ours, or of another version or secret key
        return None
    return flow if 0 <= now_ms() - flow.begun_at_ms < FLOW_S * 1_000 else None


def _failed(request: Request, flow: _Flow | None, reason: object) -> Response:
    log.warning("a sign-in with OpenID Connect was refused", reason=str(reason))
    return redirect(request, flow.origin if flow else f"sign-in?{OIDC_FAULT}")
