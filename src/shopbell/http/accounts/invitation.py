"""``/invitations/{token}``: an employee gets in for the first time.

Opening the link changes nothing, because mail scanners open links.
"""

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell.accounts import invitations, passwords, sessions, sign_in
from shopbell.accounts.invitations import PATH, Invitation
from shopbell.errors import Invalid
from shopbell.formats import names
from shopbell.http.accounts.account_page import oidc_fault, page, services_of, signed_in, texts_of
from shopbell.http.accounts.sign_in import Opened
from shopbell.http.request.app_services import Services
from shopbell.http.request.forms import read_form
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.visitor_limits import address_of
from shopbell.i18n.translations import msgid
from shopbell.runtime.clock import now_ms

router = APIRouter(include_in_schema=False)

_GONE = 410
_INVALID = 400
_FAULTS = {
    "too_short": msgid("Your password needs at least {count} characters."),
    "too_long": msgid("Your password is too long. The limit is {count} characters."),
    "too_easy": msgid("This password is easy to guess. Please choose another one."),
}
_COUNTS = {"too_short": passwords.MIN_CHARACTERS, "too_long": passwords.MAX_CHARACTERS}
_NAME = msgid("Please enter your name, as other employees and customers see it.")


@router.api_route(f"{PATH}{{token}}", methods=["GET", "HEAD"])
async def show_invitation(request: Request, token: str) -> Response:
    """Show who invites, and ask for a name and a password.

    Raises:
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = services_of(request)
    services.limits.links_of_address.take(address_of(request))
    invitation = await _find(services, token)
    if invitation is None:
        return _gone(request)
    return _form(request, invitation, token, name=invitation.name, fault=oidc_fault(request))


@router.post(f"{PATH}{{token}}")
async def accept_invitation(request: Request, token: str) -> Response:
    """Set name and password, and sign in.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    services.limits.links_of_address.take(address_of(request))
    fields = await read_form(request)
    invitation = await _find(services, token)
    if invitation is None:
        return _gone(request)
    name, password = fields.get("name", ""), fields.get("password", "")
    texts = texts_of(request)
    try:
        name = names.line(name)
    except ValueError:
        return _form(request, invitation, token, name=name, fault=texts.gettext(_NAME))
    fault = password_fault(request, password, name, invitation.email)
    if fault is not None:
        return _form(request, invitation, token, name=name, fault=fault)
    opened = await services.database.write(
        _accept,
        services,
        invitation,
        name,
        await services.employees.hashing.hash(password),
        agent=request.headers.get("user-agent", ""),
        at_ms=now_ms(),
    )
    return _gone(request) if opened is None else signed_in(request, opened.secret, opened.stage)


def password_fault(request: Request, password: str, *personal: str | None) -> str | None:
    """Return what is wrong with a password that an employee chose, in their language, or None."""
    try:
        passwords.check_new(password, *personal)
    except Invalid as refused:
        code = refused.errors[0].code
        count = _COUNTS.get(code)
        texts = texts_of(request)
        return texts.gettext(_FAULTS[code]) if count is None else texts.gettext(_FAULTS[code], count=count)
    return None


def _accept(
    tx: Connection, services: Services, invitation: Invitation, name: str, hashed: str, *, agent: str, at_ms: int
) -> Opened | None:
    of = (invitation.organization_id, invitation.employee_id)
    if not invitations.accept(tx, invitation, name=name, now_ms=at_ms):
        return None
    passwords.put(tx, *of, hashed, actor=f"employee {invitation.employee_id}", now_ms=at_ms)
    account = sign_in.find(tx, *of)
    if account is None:
        return None
    _, secret = sessions.create(tx, services.employees.keys, *of, account.stage, agent=agent, now_ms=at_ms)
    return Opened(account.stage, secret)


async def _find(services: Services, token: str) -> Invitation | None:
    return await services.database.read(invitations.find, services.employees.invitation_keys, token, now_ms=now_ms())


def _gone(request: Request) -> Response:
    return page(request, "invitation_gone.html", status=_GONE)


def _form(request: Request, invitation: Invitation, token: str, *, name: str, fault: str | None = None) -> Response:
    return page(
        request,
        "invitation.html",
        status=200 if fault is None else _INVALID,
        token=token,
        organization=invitation.organization_name,
        name=name,
        email=invitation.email,
        fault=fault,
        min_characters=passwords.MIN_CHARACTERS,
        max_characters=passwords.MAX_CHARACTERS,
    )
