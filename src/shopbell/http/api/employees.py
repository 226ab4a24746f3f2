"""Employees: who answers an organization's customers."""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy import Connection

from shopbell import audit, employees, handovers, identity
from shopbell.employees import Employee
from shopbell.http.api.access import Caller, ManagesOrganization, ReadsThreads
from shopbell.http.api.body import Body, described, takes
from shopbell.http.api.fields import Email, Fields, FilledLine, PathId, typed, wrong
from shopbell.http.api.paging import LIMIT_DEFAULT, Cursor, Limit, cursor_of, place_of
from shopbell.http.api.results import Ok

router = APIRouter(tags=["employees"])


def _email_or_nothing(text: str) -> str:
    try:
        return text and identity.normal_email(text)
    except ValueError as error:
        raise wrong("invalid_email", str(error)) from None


EmailOrNothing = Annotated[
    str,
    BeforeValidator(typed),
    StringConstraints(max_length=identity.EMAIL_MAX_CHARACTERS),
    AfterValidator(_email_or_nothing),
]
EmployeeOfPath = Annotated[PathId, Path(alias="employeeId", description="The employee.", examples=["12351"])]


class CreateEmployee(Fields):
    """Somebody who works for the organization."""

    name: FilledLine = Field(description="What colleagues and customers call them.", examples=["Alice Miller"])
    email: Email | None = Field(
        None, description="Kept in lower case; no two active employees have the same.", examples=["alice@example.com"]
    )


class UpdateEmployee(Fields):
    """What is to be changed of an employee; what is left out stays."""

    name: FilledLine | None = Field(None, description="What colleagues and customers call them.", examples=["Alice"])
    email: EmailOrNothing | None = Field(
        None, description="An empty text takes the address away.", examples=["alice@example.com"]
    )


class ShownEmployee(Fields):
    """Somebody who works, or worked, for the organization. Times are Unix milliseconds."""

    id: str = Field(description="Elsewhere the `employeeUserId`.", examples=["12351"])
    name: str = Field(examples=["Alice Miller"])
    email: str | None = Field(examples=["alice@example.com"])
    active: bool = Field(description="Whether they have not left.", examples=[True])
    created_at: int = Field(examples=[1700000000000])
    deactivated_at: int | None = Field(examples=[None])


class Employees(Fields):
    """A page of employees, the oldest first."""

    employees: list[ShownEmployee]
    next_cursor: str | None = Field(description="The `cursor` of the next page; `null` on the last.", examples=[None])


@router.post("/api/employees", openapi_extra=described(CreateEmployee), summary="Make an employee")
async def create_employee(
    caller: ManagesOrganization, body: Annotated[Body[CreateEmployee], takes(CreateEmployee)]
) -> ShownEmployee:
    """Make an employee. 409 where another active one has that e-mail address."""

    def work(tx: Connection, organization_id: int, fields: CreateEmployee) -> Employee:
        now_ms = time.time_ns() // 1_000_000
        made = employees.create(tx, organization_id, fields.name, fields.email, now_ms=now_ms)
        _note(tx, caller, "employee.create", made.id, now_ms)
        return made

    return _shown(await caller.write(work, body.fields))


@router.get("/api/employees", summary="List employees")
async def list_employees(
    caller: ReadsThreads,
    active: Annotated[
        bool | None, Query(description="`true`: only those who have not left; `false`: only those who have.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Employees:
    """List the organization's employees, the oldest first, those who have left among them."""
    place = place_of(cursor, int)
    after_id = 0 if place is None else int(place[0])
    found = await caller.read(employees.find_all, active=active, after_id=after_id, limit=limit + 1)
    page = found[:limit]
    next_cursor = cursor_of(page[-1].id) if len(found) > limit else None
    return Employees(employees=[_shown(each) for each in page], next_cursor=next_cursor)


@router.post(
    "/api/employees/{employeeId}/update", openapi_extra=described(UpdateEmployee), summary="Change an employee"
)
async def update_employee(
    caller: ManagesOrganization,
    employee_id: EmployeeOfPath,
    body: Annotated[Body[UpdateEmployee], takes(UpdateEmployee)],
) -> Ok:
    """Change what is given of an employee. 409 where another active one has that e-mail address."""

    def work(tx: Connection, organization_id: int, fields: UpdateEmployee) -> None:
        employees.change(tx, organization_id, employee_id, **fields.given())
        _note(tx, caller, "employee.update", employee_id, time.time_ns() // 1_000_000)

    await caller.write(work, body.fields)
    return Ok()


@router.post("/api/employees/{employeeId}/deactivate", summary="Let an employee leave")
async def deactivate_employee(caller: ManagesOrganization, employee_id: EmployeeOfPath) -> Ok:
    """Let an employee leave. What they wrote stays; the conversations that they looked after are nobody's then.

    Nothing can be assigned to them or sent in their name any more, and their e-mail address is free for somebody else.
    """

    def work(tx: Connection, organization_id: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        if employees.deactivate(tx, organization_id, employee_id, now_ms=now_ms):
            _note(tx, caller, "employee.deactivate", employee_id, now_ms)

    await caller.write(work)
    while await caller.write(handovers.release, employee_id):
        pass
    return Ok()


def _note(tx: Connection, caller: Caller, action: str, employee_id: int, now_ms: int) -> None:
    audit.record(tx, caller.organization_id, caller.name, action, f"employee {employee_id}", now_ms=now_ms)


def _shown(employee: Employee) -> ShownEmployee:
    return ShownEmployee(
        id=str(employee.id),
        name=employee.name,
        email=employee.email,
        active=employee.active,
        created_at=employee.created_at_ms,
        deactivated_at=employee.deactivated_at_ms,
    )
