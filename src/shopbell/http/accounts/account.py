"""``/account``: an employee's password, passkeys and devices. Works without JavaScript but for passkeys.

Actions that could lock the employee out, or let another person in, need a factor from the last ten minutes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell.accounts import oidc_identities, passkeys, passwords, recovery, roles, sessions, sign_in
from shopbell.accounts.oidc_identities import Identity
from shopbell.accounts.oidc_provider import name_of
from shopbell.accounts.passkeys import Passkey
from shopbell.accounts.sessions import EmployeeSession
from shopbell.accounts.sign_in import Account
from shopbell.errors import NotFound
from shopbell.http.accounts.account_page import (
    ACCOUNT,
    next_of,
    oidc_fault,
    page,
    read_attempt,
    redirect,
    run_sensitive,
    services_of,
    signed_in,
    texts_of,
)
from shopbell.http.accounts.audit_page import PERMISSION as AUDIT
from shopbell.http.accounts.device_names import device_name
from shopbell.http.accounts.invitation import password_fault
from shopbell.http.accounts.sign_in import LIMITED, is_granted
from shopbell.http.request.app_services import Services
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.forms import read_form
from shopbell.http.request.ids import read_id
from shopbell.http.request.origins import check_own_form
from shopbell.http.request.visitor_limits import address_of
from shopbell.i18n.translations import msgid
from shopbell.organizations import employees, organizations
from shopbell.runtime.clock import now_ms

router = APIRouter(include_in_schema=False)

_INVALID = 400
_WRONG_PASSWORD = msgid("This is not your password.")


@dataclass(frozen=True, slots=True)
class _Shown:
    name: str
    email: str
    organization: str
    account: Account
    passkeys: list[Passkey]
    identities: list[Identity]
    sessions: list[EmployeeSession]
    codes_left: int
    reads_audit: bool


@router.api_route("/account", methods=["GET", "HEAD"])
async def show_account(request: Request) -> Response:
    """Show the account.

    Raises:
        StorageError: 503.
    """
    services = services_of(request)
    try:
        session = (await services.employees.signed_in(request.scope)).session
    except NotSignedIn:
        return redirect(request, f"sign-in?next={ACCOUNT}")
    return await _account(request, session)


@router.post("/account/password")
async def change_password(request: Request) -> Response:
    """Set another password; all other sessions end.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    fields = await read_form(request)
    session = (await services.employees.signed_in(request.scope)).session
    of = (session.organization_id, session.employee_id)
    account = await services.database.read(sign_in.find, *of)
    services.limits.sign_ins_of_address.take(address_of(request))
    if account is None:
        raise NotSignedIn
    if account.password_hash is None:
        if not session.is_fresh(now_ms()):
            return redirect(request, "account/confirm")
    elif (wrong := await _password_fault(services, account, fields.get("current", ""))) is not None:
        return await _account(request, session, password_fault=texts_of(request).gettext(wrong))
    fault = password_fault(request, fields.get("password", ""), account.name)
    if fault is not None:
        return await _account(request, session, password_fault=fault)
    hashed = await services.employees.hashing.hash(fields["password"])

    def work(tx: Connection) -> str:
        actor, at_ms = f"employee {session.employee_id}", now_ms()
        passwords.put(tx, *of, hashed, actor=actor, now_ms=at_ms)
        sessions.end_all(tx, *of, but=session.id, actor=actor, now_ms=at_ms)
        return services.employees.advance(tx, session, "full", now_ms=at_ms)

    return signed_in(request, await services.database.write(work), "full", ACCOUNT)


@router.post("/account/sessions/end")
async def end_sessions(request: Request) -> Response:
    """End another session of the employee, or all others.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    fields = await read_form(request)
    session = (await services.employees.signed_in(request.scope)).session
    of = (session.organization_id, session.employee_id)
    which = fields.get("session", "")
    if which.isdecimal() and which.isascii():
        await services.database.write(sessions.end, *of, int(which[:16]), now_ms=now_ms())
    else:
        actor = f"employee {session.employee_id}"
        await services.database.write(sessions.end_all, *of, but=session.id, actor=actor, now_ms=now_ms())
    return redirect(request, ACCOUNT)


@router.post("/account/passkeys/remove")
async def remove_passkey(request: Request) -> Response:
    """Remove a passkey.

    Raises:
        NotFound: 404.
        LastWayIn: 409; the employee could no longer sign in.
        OriginRefused: 403.
        StorageError: 503.
    """
    return await _remove(request, "passkey", passkeys.remove)


@router.post("/account/identities/remove")
async def remove_identity(request: Request) -> Response:
    """Remove an account at an OpenID Connect provider.

    Raises:
        NotFound: 404.
        LastWayIn: 409; the employee could not sign in any more.
        OriginRefused: 403.
        StorageError: 503.
    """
    return await _remove(request, "identity", oidc_identities.remove)


@router.api_route("/account/confirm", methods=["GET", "HEAD"])
async def show_confirm(request: Request) -> Response:
    """Ask for a factor before a sensitive action.

    Raises:
        StorageError: 503.
    """
    return await _confirm(request, fault=oidc_fault(request))


@router.post("/account/confirm")
async def confirm(request: Request) -> Response:
    """Check the password; the session gets a new token and is fresh for ten minutes.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services, fields = await read_attempt(request)
    session = (await services.employees.signed_in(request.scope)).session
    account = await services.database.read(sign_in.find, session.organization_id, session.employee_id)
    if account is None:
        raise NotSignedIn
    wrong = await _password_fault(services, account, fields.get("password", ""))
    if wrong is not None:
        return await _confirm(request, _INVALID, fault=texts_of(request).gettext(wrong))
    secret = await services.database.write(services.employees.advance, session, "full", now_ms=now_ms())
    return signed_in(request, secret, "full", next_of(fields.get("next", "")) or ACCOUNT)


async def _password_fault(services: Services, account: Account, given: str) -> str | None:
    """Check the password again; counted apart from sign-ins, which strangers use up."""
    if not is_granted(services.employees.passwords_of_account, account.employee_id):
        return LIMITED
    return None if await services.employees.hashing.matches(account.password_hash, given) else _WRONG_PASSWORD


async def _remove(request: Request, kind: str, remove: Callable[..., None]) -> Response:
    """Remove a credential without which the employee can still sign in.

    Args:
        kind: the field of the form that has its id.
        remove: removes it from its table.
    """
    issuer = services_of(request).settings.oidc_issuer

    def work(tx: Connection, session: EmployeeSession, fields: Mapping[str, str]) -> None:
        of = (session.organization_id, session.employee_id)
        id_, fault = read_id(fields.get(kind, ""), kind)
        if fault is not None:
            raise NotFound
        remove(tx, *of, id_, now_ms=now_ms())
        sign_in.check_way_in(tx, *of, issuer)

    return await run_sensitive(request, work)


def _look(tx: Connection, session: EmployeeSession, at_ms: int) -> _Shown | None:
    of = (session.organization_id, session.employee_id)
    account, employee = sign_in.find(tx, *of), employees.find(tx, *of)
    if account is None or employee is None:
        return None
    return _Shown(
        name=account.name,
        email=employee.email or "",
        organization=organizations.get(tx, session.organization_id).name,
        account=account,
        passkeys=passkeys.of_employee(tx, *of),
        identities=oidc_identities.of_employee(tx, *of),
        sessions=sessions.of_employee(tx, *of, now_ms=at_ms),
        codes_left=recovery.left(tx, *of),
        reads_audit=AUDIT in roles.find(tx, *of).permissions,
    )


async def _account(request: Request, session: EmployeeSession, *, password_fault: str | None = None) -> Response:
    shown = await services_of(request).database.read(_look, session, now_ms())
    if shown is None:
        raise NotSignedIn
    texts, provider = texts_of(request), services_of(request).oidc
    issuer = provider and provider.issuer
    is_linked = any(one.issuer == issuer for one in shown.identities)
    ways_in = len(shown.passkeys) + is_linked + (shown.account.password_hash is not None)
    return page(
        request,
        "account.html",
        status=200 if password_fault is None else _INVALID,
        shown=shown,
        own_id=session.id,
        device_name=lambda agent: device_name(agent, texts),
        password_fault=password_fault,
        oidc_fault=oidc_fault(request),
        provider_name=lambda one: provider.name if provider and one.issuer == issuer else name_of(one.issuer),
        has_one_way_in=ways_in == 1,
        issuer=issuer,
        can_link=provider is not None and not is_linked,
        at=lambda time_ms: texts.date_time(time_ms, "UTC") + " UTC",
        min_characters=passwords.MIN_CHARACTERS,
        max_characters=passwords.MAX_CHARACTERS,
    )


async def _confirm(request: Request, status: int = 200, *, fault: str | None) -> Response:
    services = services_of(request)
    next_page = next_of(request.query_params.get("next", "")) or ACCOUNT
    try:
        session = (await services.employees.signed_in(request.scope)).session
    except NotSignedIn:
        return redirect(request, "sign-in")
    of = (session.organization_id, session.employee_id)
    account = await services.database.read(sign_in.find, *of)
    identities = await services.database.read(oidc_identities.of_employee, *of)
    return page(
        request,
        "confirm.html",
        status=status,
        fault=fault,
        next_page=next_page,
        has_password=account is not None and account.password_hash is not None,
        has_passkey=account is not None and account.has_passkey,
        has_provider=services.oidc is not None and any(one.issuer == services.oidc.issuer for one in identities),
    )
