"""``/account/app``: an employee's authenticator app and recovery codes. Works without JavaScript."""

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from sqlalchemy import Connection

from shopbell.accounts import recovery, totp
from shopbell.accounts.sessions import EmployeeSession
from shopbell.http.accounts.account_page import page, read_attempt, redirect, run_sensitive, services_of, texts_of
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.origins import check_own_form
from shopbell.i18n.translations import msgid
from shopbell.organizations import employees
from shopbell.runtime.clock import now_ms

router = APIRouter(include_in_schema=False)

_INVALID = 400
_ISSUER = "Shopbell"
_WRONG_CODE = msgid("This code is not valid. Each code works once. Wait for the next one and try again.")


@router.api_route("/account/app", methods=["GET", "HEAD"])
async def show_app(request: Request) -> Response:
    """Begin to set up an authenticator app: show a QR code, and ask for a code.

    Raises:
        StorageError: 503.
    """
    services = services_of(request)
    try:
        session = (await services.employees.signed_in(request.scope, "enrol", "full")).session
    except NotSignedIn:
        return redirect(request, "sign-in?next=account/app")
    if session.stage == "full" and not session.is_fresh(now_ms()):
        return redirect(request, "account/confirm?next=account/app")
    return await _app(request, session)


@router.post("/account/app")
async def set_up_app(request: Request) -> Response:
    """Check a code of the app. From now on it is the second factor; the page shows the recovery codes.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services, fields = await read_attempt(request)
    session = (await services.employees.signed_in(request.scope, "enrol", "full")).session
    if session.stage == "full" and not session.is_fresh(now_ms()):
        return redirect(request, "account/confirm?next=account/app")
    of = (session.organization_id, session.employee_id)

    def work(tx: Connection) -> tuple[list[str], str] | None:
        at_ms = now_ms()
        if not totp.confirm(tx, services.employees.totp_cipher, *of, fields.get("code", ""), now_ms=at_ms):
            return None
        codes = recovery.renew(tx, services.employees.recovery_keys, *of, now_ms=at_ms)
        return codes, services.employees.advance(tx, session, "full", now_ms=at_ms)

    done = await services.database.write(work)
    if done is None:
        return await _app(request, session, fault=texts_of(request).gettext(_WRONG_CODE))
    codes, secret = done
    response = page(request, "recovery_codes.html", codes=codes)
    services.employees.give_cookie(request, response, secret)
    return response


@router.post("/account/app/remove")
async def remove_app(request: Request) -> Response:
    """Remove the authenticator app and the recovery codes.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    return await run_sensitive(request, _remove_app)


@router.post("/account/recovery-codes")
async def renew_codes(request: Request) -> Response:
    """Replace the recovery codes, and show them once.

    Raises:
        OriginRefused: 403.
        StorageError: 503.
    """
    services = services_of(request)
    check_own_form(request, services)
    session = (await services.employees.signed_in(request.scope)).session
    if not session.is_fresh(now_ms()):
        return redirect(request, "account/confirm")
    of = (session.organization_id, session.employee_id)
    codes = await services.database.write(recovery.renew, services.employees.recovery_keys, *of, now_ms=now_ms())
    return page(request, "recovery_codes.html", codes=codes)


def _remove_app(tx: Connection, session: EmployeeSession, _: Mapping[str, str]) -> None:
    of = (session.organization_id, session.employee_id)
    totp.remove(tx, *of, actor=f"employee {session.employee_id}", now_ms=now_ms())
    recovery.remove(tx, *of)


async def _app(request: Request, session: EmployeeSession, fault: str | None = None) -> Response:
    services = services_of(request)
    of = (session.organization_id, session.employee_id)

    def work(tx: Connection) -> tuple[str, str]:
        employee = employees.find(tx, *of)
        secret = totp.start(tx, services.employees.totp_cipher, *of)
        return secret, (employee and (employee.email or employee.name)) or ""

    secret, account = await services.database.write(work)
    qr = totp.qr_svg(totp.address(secret, account=account, issuer=_ISSUER))
    groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return page(
        request,
        "app.html",
        status=200 if fault is None else _INVALID,
        qr=Markup(qr),  # noqa: S704 - segno draws squares
        secret=groups,
        fault=fault,
        is_required=session.stage == "enrol",
    )
