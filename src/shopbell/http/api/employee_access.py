"""Invitations and roles of employees."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy import Connection

from shopbell.accounts import invitations, roles
from shopbell.accounts.invitations import BY_EMAIL_MS, PATH, NoRole
from shopbell.accounts.roles import Grants, Roles
from shopbell.errors import FieldError, Invalid, NotFound
from shopbell.http.api.employee_roles import BusinessRole, Role
from shopbell.http.api.employees import EmployeeOfPath
from shopbell.http.request.base_url import base_url
from shopbell.http.request.caller import Caller, ManagesSomeEmployees
from shopbell.http.request.fields import Fields
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.results import Ok
from shopbell.i18n.translations import for_locale
from shopbell.organizations import employees, organizations
from shopbell.organizations.employees import Employee
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["employees"])


class SetRoles(Fields):
    """All roles of an employee. What is left out is taken away."""

    role: Role | None = Field(None, description="The role in all businesses of the organization.", examples=["member"])
    business_roles: list[BusinessRole] = Field(
        default_factory=list, max_length=200, description="Roles in single businesses, in addition."
    )


class Invite(Fields):
    """How to send an invitation."""

    locale: str | None = Field(
        None,
        max_length=35,
        description="The language of the email, as a BCP 47 tag. Default: English.",
        examples=["de"],
    )


class Invited(Fields):
    """An invitation."""

    link: str = Field(
        description="Where the employee sets a password. It works once. It is not shown again.",
        examples=["https://chat.example.com/invitations/sbi_…"],
    )
    expires_at: int = Field(description="In Unix milliseconds.", examples=[1700604800000])
    sent: bool = Field(
        description="Whether an email with the link was sent. If not, give the link to the employee yourself.",
        examples=[True],
    )


@router.post(
    "/api/employees/{employeeId}/roles", openapi_extra=body_schema(SetRoles), summary="Set an employee's roles"
)
async def set_roles(
    caller: ManagesSomeEmployees, employee_id: EmployeeOfPath, body: Annotated[Body[SetRoles], json_body(SetRoles)]
) -> Ok:
    """Set all roles of an employee. Their sessions end; they sign in again with the new roles.

    The caller gives and takes only roles whose permissions they have themselves. An invitation that was sent before
    works no more. 409 if no owner would be left.
    """
    given = body.fields.business_roles
    if len({each.business_id for each in given}) < len(given):
        raise Invalid([FieldError("businessRoles", "invalid_value", "must name each business once")])
    wanted = Roles(body.fields.role, {each.business_id: each.role for each in given})

    def work(tx: Connection, organization_id: int) -> None:
        by = _grants_of(tx, caller)
        roles.change(tx, organization_id, employee_id, wanted, by=by, actor=caller.name, now_ms=now_ms())

    await caller.write(work)
    return Ok()


@router.post("/api/employees/{employeeId}/invite", openapi_extra=body_schema(Invite), summary="Invite an employee")
async def invite_employee(
    request: Request,
    caller: ManagesSomeEmployees,
    employee_id: EmployeeOfPath,
    body: Annotated[Body[Invite], json_body(Invite)],
) -> Invited:
    """Create a link with which an employee sets a password and signs in, and send it to their address.

    It works once, within seven days; an earlier link of the employee works no more. The caller needs all permissions
    of the employee. When the link is used, the account starts again: password, passkeys and authenticator app are
    removed, and all sessions end. 409 if the employee has no role or no email address.
    """
    services = caller.services
    keys = services.employees.invitation_keys

    def work(tx: Connection, organization_id: int) -> tuple[Employee, str, str]:
        employee = employees.find(tx, organization_id, employee_id)
        if employee is None:
            raise NotFound("employeeId")
        present = roles.find(tx, organization_id, employee_id)
        if not present:
            raise NoRole
        # An invitation opens the account: it is as good as its roles.
        roles.check_may_grant(_grants_of(tx, caller), Roles(), present)
        token = invitations.create(
            tx, keys, organization_id, employee_id, valid_ms=BY_EMAIL_MS, actor=caller.name, now_ms=at_ms
        )
        return employee, organizations.get(tx, organization_id).name, token

    at_ms = now_ms()
    employee, organization, token = await caller.write(work)
    link = f"{base_url(request, services.settings)}{PATH}{token}"
    sent = employee.email is not None and await services.invite(
        employee.email, organization, link, for_locale(body.fields.locale)
    )
    return Invited(link=link, expires_at=at_ms + BY_EMAIL_MS, sent=sent)


def _grants_of(tx: Connection, caller: Caller) -> Grants:
    """What the caller may do, as of this transaction: the roles of an employee may have changed since."""
    if caller.employee_id is None:
        return caller.grants
    return roles.find(tx, caller.organization_id, caller.employee_id).grants
