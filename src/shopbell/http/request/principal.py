"""The sender of an API request: a program with a token, or a signed-in employee."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shopbell.accounts.roles import Grants
from shopbell.db.businesses import Businesses
from shopbell.errors import RequestError
from shopbell.http.request.authentication import Authentication, Headers
from shopbell.http.request.employee_sessions import EmployeeSessions
from shopbell.http.request.errors import Forbidden


class RoleLacks(Forbidden):
    """403: the roles of the signed-in employee do not permit it."""

    def __init__(self, permission: str) -> None:
        RequestError.__init__(
            self,
            f"Your role does not allow this: the permission '{permission}' is missing.",
            f"Permission '{permission}' is missing",
        )


@dataclass(frozen=True, slots=True)
class Principal:
    """The program or the employee that sent a request.

    Args:
        organization_id: the only organization that exists for them.
        id: the id of the token, or of the employee.
        employee_id: the employee who is signed in; None for a token.
        grants: what they may do, in all businesses of the organization and in single ones.
        session_id: the session of the employee; None for a token.
    """

    organization_id: int
    id: int
    employee_id: int | None
    grants: Grants
    session_id: int | None

    def businesses_with(self, permission: str) -> Businesses:
        """The businesses in which they have a permission, at least one.

        Raises:
            Forbidden: 403; there is none.
        """
        businesses = self.grants.businesses_with(permission)
        if businesses == frozenset():
            raise self.lacks(permission)
        return businesses

    def lacks(self, permission: str) -> Forbidden:
        """The error for a permission that is missing."""
        return (Forbidden if self.employee_id is None else RoleLacks)(permission)


async def authenticate(
    authentication: Authentication, employees: EmployeeSessions, scope: Mapping[str, Any], headers: Headers
) -> Principal:
    """Return who sent a request.

    Args:
        authentication: finds tokens.
        employees: finds sessions.
        scope: the ASGI scope, which has the cookie.
        headers: the headers with the token, with names in lower case. Without a token, the cookie of an employee
            counts.

    Raises:
        Unauthorized: 401.
        StorageError: 503.
    """
    if any(name == b"token" for name, _ in headers) or employees.cookie_of(scope) is None:
        token = await authentication.token_of(headers)
        return Principal(token.organization_id, token.id, None, Grants(token.scopes), None)
    signed_in = await employees.signed_in(scope)
    session, employee_id = signed_in.session, signed_in.session.employee_id
    return Principal(session.organization_id, employee_id, employee_id, signed_in.roles.grants, session.id)
