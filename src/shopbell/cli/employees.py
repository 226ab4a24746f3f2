"""``shopbell employee …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.accounts import invitations
from shopbell.accounts.permissions import ROLES
from shopbell.accounts.roles import Roles
from shopbell.cli.access import ACTOR, load_settings, opened, read, secret_keys, write
from shopbell.cli.choices import OfOrganization, OnlyOrganization
from shopbell.cli.fields import checked
from shopbell.cli.listening import link_base
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table
from shopbell.conversations import assignment
from shopbell.errors import CommandError, Conflict
from shopbell.events.actors import SYSTEM
from shopbell.inbox.erasure import forget_employee
from shopbell.organizations import employees, organizations
from shopbell.organizations.employees import Employee
from shopbell.runtime.clock import now_ms

app = typer.Typer()

EmployeeId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The employee's id.")]
Email = Annotated[str | None, typer.Option(help="Email address, unique among active employees.")]


@app.command("create")
def create_employee(
    organization: OfOrganization,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name that employees and customers see.")],
    email: Email = None,
    json: JSON = False,
) -> None:
    """Create an employee."""
    fields = checked(employees.RULES, name=name, email=email)

    def work(tx: Connection) -> Employee:
        organizations.get(tx, organization)
        return employees.create(tx, organization, fields["name"], fields.get("email"), actor=ACTOR, now_ms=now_ms())

    _show(write(work), json=json)


@app.command("list")
def list_employees(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List employees, including deactivated ones."""
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
            "yes" if each.active else f"no, deactivated {iso(each.deactivated_at_ms)}",
        )
        for each in found
    ]
    print_table(("id", "organization", "name", "email", "active"), rows, nothing="There are no employees yet.")


@app.command("update")
def update_employee(
    employee: EmployeeId,
    name: Annotated[str | None, typer.Option(help="Name that employees and customers see.")] = None,
    email: Email = None,
    json: JSON = False,
) -> None:
    """Change the given fields of an employee. An empty text ("") removes the email address."""
    changes = checked(employees.RULES, name=name, email=email)
    if not changes:
        raise CommandError("nothing to change; `shopbell employee update --help` lists the options")

    def work(tx: Connection) -> Employee:
        organization = employees.get(tx, employee).organization_id
        return employees.change(tx, organization, employee, **changes, actor=ACTOR, now_ms=now_ms())

    _show(write(work), json=json)


@app.command("deactivate")
def deactivate_employee(employee: EmployeeId, json: JSON = False) -> None:
    """Deactivate an employee: unassign their conversations, and delete their drafts."""

    def work(tx: Connection) -> Employee:
        organization = employees.get(tx, employee).organization_id
        return employees.deactivate(tx, organization, employee, actor=ACTOR, now_ms=now_ms())

    with opened() as database:
        left = database.write_now(work)
        organization_id = left.organization_id
        while database.write_now(assignment.release, organization_id, employee, actor=SYSTEM):
            pass
        while database.write_now(forget_employee, organization_id, employee):
            pass
    _show(left, json=json)


@app.command("invite")
def invite_employee(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Their email address, with which they sign in.")],
    organization: OfOrganization,
    name: Annotated[str | None, typer.Option(help="Their name; they can change it.")] = None,
    owner: Annotated[bool, typer.Option("--owner", help="Make them an owner, who may do everything.")] = False,
    role: Annotated[str | None, typer.Option(help="Their role: owner, manager or member.")] = None,
    json: JSON = False,
) -> None:
    """Print a link with which an employee sets a password and signs in. It works once, for an hour.

    An employee with that address is invited again, and keeps their role unless one is given.
    """
    if role is not None and (owner or role not in ROLES):
        raise CommandError("give one role: --owner, or --role with owner, manager or member")
    fields = checked(employees.RULES, email=email, name=name)
    secrets, chosen = secret_keys(), load_settings()
    wanted = Roles("owner" if owner else role) if owner or role else None

    def work(tx: Connection) -> tuple[Employee, str]:
        organizations.get(tx, organization)
        return invitations.invite(
            tx,
            secrets.derive(invitations.KEY_PURPOSE),
            organization,
            fields["email"],
            name=fields.get("name"),
            wanted=wanted,
            by=None,
            valid_ms=invitations.PRINTED_MS,
            actor=ACTOR,
            now_ms=now_ms(),
        )

    try:
        employee, token = write(work, keys=secrets)
    except Conflict as refused:
        raise CommandError(str(refused)) from None
    link = f"{link_base(chosen)}{invitations.PATH}{token}"
    if json:
        print_json({**_as_json(employee), "link": link})
        return
    print_facts((("employee", employee.id), ("email", employee.email), ("link", link), ("valid", "1 hour, once")))


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
            ("email", employee.email),
            ("created", iso(employee.created_at_ms)),
            ("deactivated", iso(employee.deactivated_at_ms)),
        )
    )
