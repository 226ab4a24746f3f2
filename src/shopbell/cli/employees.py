"""``shopbell employee …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, employees, handovers, organizations
from shopbell.cli.access import opened, read, write
from shopbell.cli.fields import checked
from shopbell.cli.organizations import OfOrganization, OnlyOrganization
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table
from shopbell.employees import Employee
from shopbell.errors import CommandError

employee_app = typer.Typer(help="Employees of an organization: who answers its customers.", no_args_is_help=True)

EmployeeId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The employee's id.")]
Email = Annotated[str | None, typer.Option(help="Their e-mail address, which no other active employee has.")]


@employee_app.command("create")
def create_employee(
    organization: OfOrganization,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What colleagues and customers call them.")],
    email: Email = None,
    json: JSON = False,
) -> None:
    """Make an employee of an organization."""
    from shopbell.http.api.employees import CreateEmployee

    fields = checked(CreateEmployee, name=name, email=email)
    at_ms = now_ms()

    def work(tx: Connection) -> Employee:
        organizations.get(tx, organization)
        made = employees.create(tx, organization, fields.name, fields.email, now_ms=at_ms)
        return _noted(tx, made, "employee.create", at_ms)

    _show(write(work), json=json)


@employee_app.command("list")
def list_employees(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List all employees, or those of one organization; those who have left, too."""
    found = read(lambda tx: employees.find_all(tx, organization))
    if json:
        print_json([_as_json(employee) for employee in found])
        return
    rows = [
        (
            each.id,
            each.organization_id,
            each.name,
            each.email,
            "yes" if each.active else f"no, since {iso(each.deactivated_at_ms)}",
        )
        for each in found
    ]
    print_table(("id", "organization", "name", "e-mail", "active"), rows, nothing="There is no employee yet.")


@employee_app.command("update")
def update_employee(
    employee: EmployeeId,
    name: Annotated[str | None, typer.Option(help="What colleagues and customers call them.")] = None,
    email: Email = None,
    json: JSON = False,
) -> None:
    """Change what is given of an employee; an empty text ("") takes the address away."""
    from shopbell.http.api.employees import UpdateEmployee

    changes = checked(UpdateEmployee, name=name, email=email).given()
    if not changes:
        raise CommandError("nothing to change was given; `shopbell employee update --help` lists what can be")
    at_ms = now_ms()

    def work(tx: Connection) -> Employee:
        employees.change(tx, employees.get(tx, employee).organization_id, employee, **changes)
        return _noted(tx, employees.get(tx, employee), "employee.update", at_ms)

    _show(write(work), json=json)


@employee_app.command("deactivate")
def deactivate_employee(employee: EmployeeId, json: JSON = False) -> None:
    """Let an employee leave: what they wrote stays, the conversations that they looked after become nobody's."""
    at_ms = now_ms()

    def work(tx: Connection) -> Employee:
        found = employees.get(tx, employee)
        if employees.deactivate(tx, found.organization_id, employee, now_ms=at_ms):
            _noted(tx, found, "employee.deactivate", at_ms)
        return employees.get(tx, employee)

    with opened() as database:
        left = database.write_now(work)
        while database.write_now(handovers.release, left.organization_id, employee):
            pass
    _show(left, json=json)


def _noted(tx: Connection, employee: Employee, action: str, at_ms: int) -> Employee:
    subject = f"employee {employee.id}"
    audit.record(tx, employee.organization_id, audit.COMMAND_LINE, action, subject, now_ms=at_ms)
    return employee


def _as_json(employee: Employee) -> dict[str, object]:
    return {**as_json(employee), "active": employee.active}


def _show(employee: Employee, *, json: bool) -> None:
    if json:
        print_json(_as_json(employee))
        return
    print_facts(
        (
            ("employee", employee.id),
            ("organization", employee.organization_id),
            ("name", employee.name),
            ("e-mail", employee.email),
            ("created", iso(employee.created_at_ms)),
            ("deactivated", iso(employee.deactivated_at_ms)),
        )
    )
