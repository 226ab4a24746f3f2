"""Sign in with a passkey, and add one. The scripts of the pages call these routes."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import Connection

from shopbell.accounts import passkeys, roles, sessions
from shopbell.accounts.passkeys import PasskeyRefused
from shopbell.accounts.sessions import EmployeeSession
from shopbell.errors import FieldError, Invalid
from shopbell.http.accounts.account_page import services_of, texts_of
from shopbell.http.accounts.device_names import device_name
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import base_url
from shopbell.http.request.body import read_body
from shopbell.http.request.errors import Forbidden
from shopbell.http.request.json_object import parse_object
from shopbell.http.request.origins import check_own_request
from shopbell.http.request.visitor_limits import address_of
from shopbell.organizations import employees
from shopbell.runtime.clock import now_ms

router = APIRouter(include_in_schema=False)

_BODY_MAX_BYTES = 16_384
_NO_STORE = {"Cache-Control": "no-store"}
_OK = {"result": "ok"}


class FactorNeeded(Forbidden):
    """403: the action needs a factor that was given in the last ten minutes."""

    def __init__(self) -> None:
        super(Forbidden, self).__init__("Confirm that it is you, then try again.", "Confirm at /account/confirm first")


@router.post("/api/sign-in/passkey/options")
async def begin_sign_in(request: Request) -> Response:
    """Return the options for ``navigator.credentials.get``.

    Raises:
        OriginRefused: 403.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = _checked(request)
    options = await services.database.write(passkeys.begin_authentication, _origin(request), now_ms=now_ms())
    return JSONResponse(options, headers=_NO_STORE)


@router.post("/api/sign-in/passkey")
async def finish_sign_in(request: Request) -> Response:
    """Sign in with the browser's response. A session that this browser has is replaced.

    Raises:
        Invalid: 400.
        PasskeyRefused: 400.
        OriginRefused: 403.
        QuotaExceeded: 429.
        StorageError: 503.
    """
    services = _checked(request)
    body = await _body(request)
    before = await services.employees.of_any_stage(request.scope)
    origin, agent = _origin(request), request.headers.get("user-agent", "")

    def work(tx: Connection) -> str:
        at_ms = now_ms()
        passkey = passkeys.authenticate(tx, origin, _credential(body), now_ms=at_ms)
        of = (passkey.organization_id, passkey.employee_id)
        if not roles.find(tx, *of):
            raise PasskeyRefused
        if before is not None:
            sessions.end(tx, before.organization_id, before.employee_id, before.id, now_ms=at_ms)
        return sessions.create(tx, services.employees.keys, *of, "full", agent=agent, now_ms=at_ms)[1]

    secret = await services.database.write(work)
    response = JSONResponse(_OK, headers=_NO_STORE)
    services.employees.give_cookie(request, response, secret)
    return response


@router.post("/api/passkeys/options")
async def begin_registration(request: Request) -> Response:
    """Return the options for ``navigator.credentials.create``.

    Raises:
        NotSignedIn: 401.
        FactorNeeded: 403.
        TooManyPasskeys: 409.
        StorageError: 503.
    """
    services = _checked(request)
    session = await _fresh(request, services)

    def work(tx: Connection) -> dict[str, Any]:
        of = (session.organization_id, session.employee_id)
        employee = _shown_name(tx, *of)
        return passkeys.begin_registration(tx, _origin(request), *of, name=employee, now_ms=now_ms())

    return JSONResponse(await services.database.write(work), headers=_NO_STORE)


@router.post("/api/passkeys")
async def finish_registration(request: Request) -> Response:
    """Store a passkey that the browser has made. It gets the name of the device.

    Raises:
        Invalid: 400.
        PasskeyRefused: 400.
        NotSignedIn: 401.
        FactorNeeded: 403.
        StorageError: 503.
    """
    services = _checked(request)
    session = await _fresh(request, services)
    body = await _body(request)
    name = device_name(request.headers.get("user-agent", ""), texts_of(request))

    def work(tx: Connection) -> str:
        at_ms = now_ms()
        of = (session.organization_id, session.employee_id)
        passkeys.register(tx, _origin(request), *of, _credential(body), name=name, now_ms=at_ms)
        return services.employees.advance(tx, session, "full", now_ms=at_ms)

    secret = await services.database.write(work)
    response = JSONResponse(_OK, headers=_NO_STORE)
    services.employees.give_cookie(request, response, secret)
    return response


def _shown_name(tx: Connection, organization_id: int, employee_id: int) -> str:
    """What the device shows for the passkey: the address of the employee, or else their name."""
    employee = employees.find(tx, organization_id, employee_id)
    return (employee and (employee.email or employee.name)) or ""


def _checked(request: Request) -> Services:
    services = services_of(request)
    check_own_request(request, services)
    services.limits.sign_ins_of_address.take(address_of(request))
    return services


async def _fresh(request: Request, services: Services) -> EmployeeSession:
    session = (await services.employees.signed_in(request.scope, "enrol", "full")).session
    if session.stage == "full" and not session.is_fresh(now_ms()):
        raise FactorNeeded
    return session


async def _body(request: Request) -> dict[str, Any]:
    document, malformed = parse_object(await read_body(request.receive, request.scope, _BODY_MAX_BYTES))
    if malformed is not None:
        raise Invalid([malformed])
    return document


def _credential(body: dict[str, Any]) -> dict[str, Any]:
    credential = body.get("credential")
    if not isinstance(credential, dict):
        raise Invalid([FieldError("credential", "type", "must be an object", members={"expected": "object"})])
    return credential


def _origin(request: Request) -> str:
    return "/".join(base_url(request, services_of(request).settings).split("/")[:3])
