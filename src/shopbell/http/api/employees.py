"""List, create, change and deactivate employees."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell.accounts import roles
from shopbell.accounts.roles import Roles
from shopbell.conversations import assignment
from shopbell.formats import identities
from shopbell.http.api.employee_roles import BusinessRoleOut, Role, shown_business_roles, shown_role
from shopbell.http.request.caller import ManagesOrganization, ManagesSomeEmployees, ReadsSomeThreads
from shopbell.http.request.fields import Email, Fields, FilledLine, PathId, field_error, typed
from shopbell.http.request.json_body import Body, body_schema, json_body
from shopbell.http.request.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.request.results import Ok
from shopbell.inbox.erasure import forget_employee
from shopbell.organizations import employees
from shopbell.organizations.employees import Employee
from shopbell.runtime.clock import now_ms

router = APIRouter(tags=["employees"])


def _email_or_nothing(text: str) -> str:
    try:
        return text and identities.normal_email(text)
    except ValueError as error:
        raise field_error("invalid_email", str(error)) from None


EmailOrNothing = Annotated[
    str,
    BeforeValidator(typed),
    StringConstraints(max_length=identities.EMAIL_MAX_CHARACTERS),
    AfterValidator(_email_or_nothing),
]
EmployeeOfPath = Annotated[PathId, Path(alias="employeeId", description="The employee.", examples=["12351"])]


class CreateEmployee(Fields):
    """A new employee."""

    name: FilledLine = Field(description="The name that employees and customers see.", examples=["Alice Miller"])
    email: Email | None = Field(
        None, description="Stored in lower case, and unique among active employees.", examples=["alice@example.com"]
    )


class UpdateEmployee(Fields):
    """The fields of an employee to change."""

    name: FilledLine | None = Field(None, description="The name that employees and customers see.", examples=["Alice"])
    email: EmailOrNothing | None = Field(
        None, description="An empty string removes the address.", examples=["alice@example.com"]
    )


class EmployeeOut(Fields):
    """An employee. Times are Unix milliseconds."""

    id: str = Field(description="The `employeeUserId` of other routes.", examples=["12351"])
    name: str = Field(examples=["Alice Miller"])
    email: str | None = Field(examples=["alice@example.com"])
    active: bool = Field(description="Whether the employee is active.", examples=[True])
    role: Role | None = Field(
        description="The role in all businesses of the organization; `null` if there is none.", examples=["member"]
    )
    business_roles: list[BusinessRoleOut] = Field(description="Roles in single businesses, in addition.", examples=[[]])
    created_at: int = Field(examples=[1700000000000])
    deactivated_at: int | None = Field(examples=[None])


class Employees(Fields):
    """A page of employees, the oldest first."""

    employees: list[EmployeeOut]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.post("/api/employees", openapi_extra=body_schema(CreateEmployee), summary="Create an employee")
async def create_employee(
    caller: ManagesSomeEmployees, body: Annotated[Body[CreateEmployee], json_body(CreateEmployee)]
) -> EmployeeOut:
    """Create an employee. 409 if another active employee has the email address."""
    name, email = body.fields.name, body.fields.email
    return _shown(await caller.write(employees.create, name, email, actor=caller.name, now_ms=now_ms()), Roles())


@router.get("/api/employees", summary="List employees")
async def list_employees(
    caller: ReadsSomeThreads,
    active: Annotated[
        bool | None, Query(description="`true`: only active employees; `false`: only deactivated ones.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Employees:
    """List the employees of the organization, including deactivated ones, the oldest first."""
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])

    def look(tx: Connection, organization_id: int) -> tuple[list[Employee], dict[int, Roles]]:
        found = employees.find_all(tx, organization_id, active=active, after_id=after_id, limit=limit + 1)
        return found, roles.of_employees(tx, organization_id, [each.id for each in found[:limit]])

    found, roles_of = await caller.read(look)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Employees(employees=[_shown(each, roles_of[each.id]) for each in page], next_cursor=next_cursor)


@router.post(
    "/api/employees/{employeeId}/update", openapi_extra=body_schema(UpdateEmployee), summary="Change an employee"
)
async def update_employee(
    caller: ManagesOrganization,
    employee_id: EmployeeOfPath,
    body: Annotated[Body[UpdateEmployee], json_body(UpdateEmployee)],
) -> Ok:
    """Change the given fields of an employee. 409 if another active employee has the email address."""
    changes = body.fields.given()
    await caller.write(employees.change, employee_id, **changes, actor=caller.name, now_ms=now_ms())
    return Ok()


@router.post("/api/employees/{employeeId}/deactivate", summary="Deactivate an employee")
async def deactivate_employee(caller: ManagesOrganization, employee_id: EmployeeOfPath) -> Ok:
    """Deactivate an employee.

    Their messages stay. Their conversations are unassigned, and their drafts and private views are deleted.
    Conversations can no longer be assigned to them, and messages can no longer be sent in their name. Another employee
    can use their email address. 409 if no owner would be left.
    """

    def work(tx: Connection, organization_id: int) -> None:
        roles.check_may_leave(tx, organization_id, employee_id)
        employees.deactivate(tx, organization_id, employee_id, actor=caller.name, now_ms=now_ms())

    await caller.write(work)
    while await caller.write(assignment.release, employee_id, actor=caller.actor()):
        pass
    while await caller.write(forget_employee, employee_id):
        pass
    return Ok()


def _shown(employee: Employee, own: Roles) -> EmployeeOut:
    return EmployeeOut(
        id=str(employee.id),
        name=employee.name,
        email=employee.email,
        active=employee.active,
        role=shown_role(own.organization),
        business_roles=shown_business_roles(own),
        created_at=employee.created_at_ms,
        deactivated_at=employee.deactivated_at_ms,
    )
