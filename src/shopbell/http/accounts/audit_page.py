"""``/account/audit``: who changed what in the organization, for employees who may read it."""

from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from shopbell.accounts import roles
from shopbell.events import audit_log
from shopbell.events.audit_log import Entry
from shopbell.http.accounts.account_page import page, redirect, services_of, texts_of
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.principal import RoleLacks
from shopbell.organizations import employees

PERMISSION = "audit:read"
ENTRIES = 50
"""How many entries a page shows."""

_ID_MAX_DIGITS = 18
_EMPLOYEE = "employee "

router = APIRouter(include_in_schema=False)


@router.api_route("/account/audit", methods=["GET", "HEAD"])
async def show_audit(request: Request) -> Response:
    """Show the audit log, the newest entries first. ``before`` is the id of the last entry of the page before.

    Raises:
        RoleLacks: 403.
        StorageError: 503.
    """
    services = services_of(request)
    try:
        session = (await services.employees.signed_in(request.scope)).session
    except NotSignedIn:
        return redirect(request, "sign-in?next=account/audit")
    before = request.query_params.get("before", "")
    before_id = int(before) if before.isascii() and before.isdecimal() and len(before) <= _ID_MAX_DIGITS else None

    def look(tx: Connection) -> tuple[list[Entry], dict[str, str]]:
        organization_id = session.organization_id
        if PERMISSION not in roles.find(tx, organization_id, session.employee_id).permissions:
            raise RoleLacks(PERMISSION)
        found = audit_log.find_page(tx, organization_id, before_id=before_id, limit=ENTRIES + 1)
        ids = {
            int(text.removeprefix(_EMPLOYEE))
            for entry in found
            for text in (entry.actor, entry.subject)
            if text.startswith(_EMPLOYEE)
        }
        named = employees.names_of(tx, organization_id, ids)
        return found, {f"{_EMPLOYEE}{id_}": name for id_, name in named.items()}

    found, named = await services.database.read(look)
    texts = texts_of(request)
    return page(
        request,
        "audit.html",
        entries=found[:ENTRIES],
        older_id=found[ENTRIES - 1].id if len(found) > ENTRIES else None,
        name_of=lambda text: named.get(text, text),
        at=lambda time_ms: texts.date_time(time_ms, "UTC") + " UTC",
    )
