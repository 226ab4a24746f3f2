"""Sign in as an employee of the demo, without a password.

Only the demo has this route, and only for clients on this machine, which also see the demo's token.
"""

from typing import cast

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from shopbell.accounts import sessions
from shopbell.errors import NotFound
from shopbell.http.request.app_services import Services
from shopbell.http.request.base_url import root_of
from shopbell.http.request.employee_sessions import NotSignedIn
from shopbell.http.request.forms import read_form
from shopbell.http.request.local_client import is_local_client
from shopbell.http.request.origins import check_own_form
from shopbell.operations.demo import EMPLOYEES, Demo
from shopbell.organizations import employees
from shopbell.runtime.clock import now_ms


def require_local_demo(request: Request) -> None:
    """Refuse requests from other machines, and all requests outside of the demo.

    Raises:
        NotFound: 404.
    """
    if request.app.state.demo is None or not is_local_client(request):
        raise NotFound


router = APIRouter(include_in_schema=False, dependencies=[Depends(require_local_demo)])


@router.post("/demo/sign-in")
async def sign_in(request: Request) -> Response:
    """Sign in as the employee that the form names, and return to the first page.

    Raises:
        NotFound: 404; this is not the demo, the client is not on this machine, or there is no such employee.
        OriginRefused: 403.
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    check_own_form(request, services)
    chosen = (await read_form(request)).get("employee", "")
    email = next((email for name, email, _ in EMPLOYEES if name == chosen), None)
    if email is None:
        raise NotFound
    demo: Demo = request.app.state.demo

    def start(tx: Connection) -> str:
        employee = employees.find_by_email(tx, demo.organization_id, email)
        if employee is None:
            raise NotFound
        keys, agent = services.employees.keys, request.headers.get("user-agent", "")
        return sessions.create(tx, keys, demo.organization_id, employee.id, "full", agent=agent, now_ms=now_ms())[1]

    response = RedirectResponse(root_of(request), 303, {"Cache-Control": "no-store"})
    services.employees.give_cookie(request, response, await services.database.write(start))
    return response


async def employee_of(request: Request) -> str | None:
    """Return the name of the employee who is signed in, if any.

    Raises:
        StorageError: 503.
    """
    services = cast("Services", request.app.state.services)
    try:
        session = (await services.employees.signed_in(request.scope)).session
    except NotSignedIn:
        return None
    found = await services.database.read(employees.find, session.organization_id, session.employee_id)
    return None if found is None else found.name
