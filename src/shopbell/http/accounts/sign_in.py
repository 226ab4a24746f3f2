"""``/sign-in``: with an address and a password, then a code. Works without JavaScript."""

import time
from dataclasses import dataclass
from itertools import compress
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell.accounts import organization_choice, recovery, sessions, sign_in, totp
from shopbell.accounts.sessions import EmployeeSession, Stage
from shopbell.accounts.sign_in import Account
from shopbell.http.accounts.account_page import (
    INBOX,
    next_of,
    oidc_fault,
    page,
    read_attempt,
    redirect,
    services_of,
    signed_in,
    texts_of,
)
from shopbell.http.request.app_services import Services
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.gcra import Gcra
from shopbell.http.request.ids import read_id
from shopbell.http.request.origins import check_own_form
from shopbell.i18n.translations import msgid
from shopbell.runtime.clock import now_ms

router = APIRouter(include_in_schema=False)

_REFUSED = 401
_TOO_MANY = 429
_WRONG = msgid("You could not be signed in. Check your email address and your password.")
_WRONG_CODE = msgid("This code is not valid. Each code works once. Wait for the next one and try again.")
LIMITED = msgid("There were too many attempts. Wait an hour, or use a passkey or a recovery code.")


@router.api_route("/sign-in", methods=["GET", "HEAD"])
async def show_sign_in(request: Request) -> Response:
    """Show the form, or go on if the browser is signed in.

    Raises:
        StorageError: 503.
    """
    next_page = next_of(request.query_params.get("next", ""))
    try:
        await services_of(request).employees.signed_in(request.scope)
    except NotSignedIn:
        fault = oidc_fault(request)
        return page(request, "sign_in.html", next_page=next_page, fault=fault, email="", asks_recovery=False)
    return redirect(request, next_page or INBOX)


@router.post("/sign-in")
async def send_sign_in(request: Request) -> Response:
    """Check address and password. Every failure looks the same, and takes as long.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429; the network address has sent too many requests.
        StorageError: 503.
    """
    services, fields = await read_attempt(request)
    next_page = next_of(fields.get("next", ""))
    email, password, code = fields.get("email", ""), fields.get("password", ""), fields.get("recovery", "")
    address = sign_in.normal_address(email)
    is_limited = not is_granted(services.employees.passwords_of_account, address)
    if is_limited and not await _may_try(services, address, code):
        return _form(request, LIMITED, _TOO_MANY, email=email, next_page=next_page)
    accounts = await _accounts_with(services, address, password)
    if len(accounts) > 1 and not code:
        proof = organization_choice.seal(services.employees.choice_cipher, accounts, now_ms=now_ms())
        return page(request, "choose_organization.html", accounts=accounts, proof=proof, next_page=next_page)
    opened = None
    for account in accounts:  # a recovery code belongs to one of them
        if opened is None:
            opened = await services.database.write(
                _open, services, account, code, needs_code=is_limited, agent=_agent(request), at_ms=now_ms()
            )
    if opened is None:
        fault, status = (LIMITED, _TOO_MANY) if is_limited else (_WRONG, _REFUSED)
        return _form(request, fault, status, email=email, next_page=next_page, asks_recovery=bool(code))
    return signed_in(request, opened.secret, opened.stage, next_page)


@router.post("/sign-in/organization")
async def choose_organization(request: Request) -> Response:
    """Open a session in the chosen organization, or ask for the password again.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429; the network address has sent too many requests.
        StorageError: 503.
    """
    services, fields = await read_attempt(request)
    next_page = next_of(fields.get("next", ""))
    organization_id, _ = read_id(fields.get("organization", ""), "")

    def work(tx: Connection) -> Opened | None:
        cipher, at_ms = services.employees.choice_cipher, now_ms()
        account = organization_choice.find(tx, cipher, fields.get("proof", ""), organization_id, now_ms=at_ms)
        if account is None:
            return None
        return _open(tx, services, account, "", needs_code=False, agent=_agent(request), at_ms=at_ms)

    opened = await services.database.write(work)
    if opened is None:
        return redirect(request, "sign-in" + (f"?next={quote(next_page)}" if next_page else ""))
    return signed_in(request, opened.secret, opened.stage, next_page)


@router.api_route("/sign-in/code", methods=["GET", "HEAD"])
async def show_code(request: Request) -> Response:
    """Ask for the code of the authenticator app, or for a recovery code.

    Raises:
        StorageError: 503.
    """
    try:
        await services_of(request).employees.signed_in(request.scope, "code")
    except NotSignedIn:
        return redirect(request, "sign-in")
    return await _code_form(request)


@router.post("/sign-in/code")
async def send_code(request: Request) -> Response:
    """Check the second factor; the session gets a new token.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429; the network address has sent too many requests.
        StorageError: 503.
    """
    services, fields = await read_attempt(request)
    try:
        found = await services.employees.signed_in(request.scope, "code")
    except NotSignedIn:
        return redirect(request, "sign-in")
    session = found.session
    recovery_code = fields.get("recovery", "")
    if not recovery_code and not is_granted(services.employees.codes_of_account, session.employee_id):
        return await _code_form(request, LIMITED, _TOO_MANY)
    opened = await services.database.write(
        _second_factor, services, session, fields.get("code", ""), recovery_code, at_ms=now_ms()
    )
    if opened is None:
        return await _code_form(request, _WRONG_CODE, _REFUSED)
    return signed_in(request, opened.secret, opened.stage, next_of(fields.get("next", "")))


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session of this browser.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    response = redirect(request, "sign-in")
    services.employees.take_cookie(request, response)
    session = await services.employees.of_any_stage(request.scope)
    if session is None:
        return response
    await services.database.write(
        sessions.end, session.organization_id, session.employee_id, session.id, now_ms=now_ms()
    )
    return response


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that was opened or advanced.

    Args:
        secret: its token, for the cookie.
    """

    stage: Stage
    secret: str


async def _accounts_with(services: Services, address: str, password: str) -> list[Account]:
    """Return the accounts that have this address and this password, in all organizations.

    It always checks as many passwords, whatever the address.
    """
    stored, checks = await services.database.read(sign_in.find_passwords, address)
    matches = await services.employees.hashing.match_each([each.hash for each in stored], password, checks=checks)
    return await services.database.read(sign_in.find_accounts, list(compress(stored, matches)))


async def _may_try(services: Services, address: str, code: str) -> bool:
    """Whether a recovery code lets a person try a password although strangers have used up the attempts.

    They do not know a code, so they cannot use up its own attempts.
    """
    code_hash = await services.database.read(_code_of, services, address, code) if code else None
    return code_hash is not None and is_granted(services.employees.passwords_of_account, code_hash)


def _code_of(tx: Connection, services: Services, address: str, code: str) -> str | None:
    """The hash of a recovery code, if an account with this address has it."""
    keys = services.employees.recovery_keys
    stored, _ = sign_in.find_passwords(tx, address)
    hashes = (recovery.find(tx, keys, each.organization_id, each.employee_id, code) for each in stored)
    return next(filter(None, hashes), None)


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _open(
    tx: Connection, services: Services, account: Account, code: str, *, needs_code: bool, agent: str, at_ms: int
) -> Opened | None:
    found = sign_in.find_again(tx, account)
    if found is None:
        return None
    of, stage = (found.organization_id, found.employee_id), found.stage
    if code:
        if not recovery.use(tx, services.employees.recovery_keys, *of, code, now_ms=at_ms):
            return None
        stage = "full"
    elif needs_code:
        return None
    _, secret = sessions.create(tx, services.employees.keys, *of, stage, agent=agent, now_ms=at_ms)
    return Opened(stage, secret)


def _second_factor(
    tx: Connection, services: Services, session: EmployeeSession, code: str, recovery_code: str, *, at_ms: int
) -> Opened | None:
    of, employees = (session.organization_id, session.employee_id), services.employees
    is_right = (
        recovery.use(tx, employees.recovery_keys, *of, recovery_code, now_ms=at_ms)
        if recovery_code
        else totp.use(tx, employees.totp_cipher, *of, code, now_ms=at_ms)
    )
    return Opened("full", employees.advance(tx, session, "full", now_ms=at_ms)) if is_right else None


def is_granted(limit: Gcra, key: int | str) -> bool:
    """Count one attempt; returns whether it is within the limit."""
    granted, _, _ = limit.take(key, time.monotonic())
    return granted


def _form(
    request: Request, fault: str, status: int, *, email: str, next_page: str, asks_recovery: bool = False
) -> Response:
    return page(
        request,
        "sign_in.html",
        status=status,
        fault=texts_of(request).gettext(fault),
        email=email,
        next_page=next_page,
        asks_recovery=asks_recovery or status == _TOO_MANY,
    )


async def _code_form(request: Request, fault: str | None = None, status: int = 200) -> Response:
    services = services_of(request)
    session = (await services.employees.signed_in(request.scope, "code")).session
    account = await services.database.read(sign_in.find, session.organization_id, session.employee_id)
    return page(
        request,
        "code.html",
        status=status,
        fault=fault and texts_of(request).gettext(fault),
        next_page=next_of(request.query_params.get("next", "")),
        has_totp=account is not None and account.has_totp,
        has_passkey=account is not None and account.has_passkey,
    )
