"""``shopbell template …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, read, write
from shopbell.cli.choices import OfOrganization, OnlyOrganization
from shopbell.cli.fields import checked
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.conversations import templates
from shopbell.conversations.templates import Template
from shopbell.organizations import organizations
from shopbell.runtime.clock import now_ms

app = typer.Typer()


@app.command("create")
def create_template(
    organization: OfOrganization,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="Title that employees see.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Text that customers read.")],
    content_sid: Annotated[
        str | None,
        typer.Option(help="Content id of the channel's provider. Default: a new one, HX and 32 hexadecimal digits."),
    ] = None,
    json: JSON = False,
) -> None:
    """Create a template."""
    fields = checked(templates.RULES, title=title, text=text, content_sid=content_sid)

    def work(tx: Connection) -> Template:
        organizations.get(tx, organization)
        sid = fields.get("content_sid")
        return templates.create(tx, organization, fields["title"], fields["text"], sid, actor=ACTOR, now_ms=now_ms())

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


@app.command("list")
def list_templates(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List templates."""
    found = read(lambda tx: templates.find_all(tx, organization))
    if json:
        print_json([as_json(template) for template in found])
        return
    rows = [(each.id, each.organization_id, each.title, each.content_sid, each.text) for each in found]
    columns = ("id", "organization", "title", "content id", "text")
    print_table(columns, rows, nothing="There are no templates yet.")


@app.command("delete")
def delete_template(
    template: Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The template's id.")],
    json: JSON = False,
) -> None:
    """Delete a template. Messages that were sent with it stay."""

    def work(tx: Connection) -> Template:
        found = templates.get_by_id(tx, template)
        templates.remove(tx, found.organization_id, found.id, actor=ACTOR, now_ms=now_ms())
        return found

    gone = write(work)
    if json:
        print_json(as_json(gone))
    else:
        say(f"Deleted template {gone.id}: {gone.title}")
