"""``shopbell template …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, organizations, templates
from shopbell.cli.access import read, write
from shopbell.cli.fields import checked
from shopbell.cli.organizations import OfOrganization, OnlyOrganization
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.templates import Template

template_app = typer.Typer(help="Texts that may be sent when a channel's window is closed.", no_args_is_help=True)


@template_app.command("create")
def create_template(
    organization: OfOrganization,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What employees choose it by.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What customers read.")],
    content_sid: Annotated[
        str | None,
        typer.Option(help="What the channel's provider calls it; HX and 32 hexadecimal digits are made unless given."),
    ] = None,
    json: JSON = False,
) -> None:
    """Make a template of an organization."""
    from shopbell.http.api.templates import CreateTemplate

    fields = checked(CreateTemplate, title=title, text=text, content_sid=content_sid)
    at_ms = now_ms()

    def work(tx: Connection) -> Template:
        organizations.get(tx, organization)
        made = templates.create(tx, organization, fields.title, fields.text, fields.content_sid, now_ms=at_ms)
        _note(tx, made, "template.create", at_ms)
        return made

    template = write(work)
    if json:
        print_json(as_json(template))
        return
    print_facts(
        (
            ("template", template.id),
            ("organization", template.organization_id),
            ("title", template.title),
            ("content id", template.content_sid),
            ("created", iso(template.created_at_ms)),
            ("text", template.text),
        )
    )


@template_app.command("list")
def list_templates(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List all templates, or those of one organization."""
    found = read(lambda tx: templates.find_all(tx, organization))
    if json:
        print_json([as_json(template) for template in found])
        return
    rows = [(each.id, each.organization_id, each.title, each.content_sid, each.text) for each in found]
    columns = ("id", "organization", "title", "content id", "text")
    print_table(columns, rows, nothing="There is no template yet.")


@template_app.command("delete")
def delete_template(
    template: Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The template's id.")],
    json: JSON = False,
) -> None:
    """Take a template away; what was sent with it stays."""
    at_ms = now_ms()

    def work(tx: Connection) -> Template:
        found = templates.get_by_id(tx, template)
        templates.remove(tx, found.organization_id, found.id)
        _note(tx, found, "template.delete", at_ms)
        return found

    gone = write(work)
    if json:
        print_json(as_json(gone))
    else:
        say(f"Template {gone.id} is deleted: {gone.title}")


def _note(tx: Connection, template: Template, action: str, at_ms: int) -> None:
    subject = f"template {template.id}"
    audit.record(tx, template.organization_id, audit.COMMAND_LINE, action, subject, now_ms=at_ms)
