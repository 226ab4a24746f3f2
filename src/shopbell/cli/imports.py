"""``shopbell import …``."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, opened
from shopbell.cli.output import JSON, object_id, print_facts, print_json, print_table, say
from shopbell.cli.progress import progress
from shopbell.cli.times import unix_ms
from shopbell.errors import CommandError
from shopbell.imports import contacts, contacts_csv, run
from shopbell.imports.formats import FORMATS
from shopbell.imports.planning import Rules
from shopbell.imports.report import Report
from shopbell.organizations import organizations
from shopbell.runtime.clock import now_ms
from shopbell.security.files import owner_only

app = typer.Typer()

_DAY_MS = 24 * 60 * 60 * 1_000

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="The files of one export, in any order.")]
OrganizationId = Annotated[
    int, typer.Option("--organization", metavar="ID", parser=object_id, help="The organization.")
]
BusinessId = Annotated[
    int | None,
    typer.Option("--business", metavar="ID", parser=object_id, help="The business for what --map does not name."),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map", metavar="INBOX=ID", help="The business for an inbox, group, team or mailbox, by its name or id."
    ),
]
Since = Annotated[
    int | None,
    typer.Option(metavar="TIME", parser=unix_ms, help="Leave out conversations without a message since then."),
]
Account = Annotated[
    str, typer.Option(metavar="NAME", help="Tells accounts of the same product apart, if you import several.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and write nothing.")]
Strict = Annotated[bool, typer.Option("--strict", help="Import nothing if a record is broken.")]
Details = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write what is left out to a new file, one JSON object per line."),
]


def _rules(
    tx: Connection,
    source: str,
    organization_id: int,
    business_id: int | None,
    named: Mapping[str, int],
    since_ms: int,
) -> Rules:
    organization = organizations.get(tx, organization_id)
    regions = _businesses(tx, organization_id, (business_id, *named.values()))
    if business_id is None and not named:
        raise CommandError("name the business of the conversations with --business, or several with --map")
    days = organization.keep_messages_days
    return Rules(
        organization_id,
        source,
        regions=regions,
        businesses=named,
        business_id=business_id,
        since_ms=since_ms,
        keep_since_ms=0 if days is None else now_ms() - days * _DAY_MS,
    )


def _businesses(tx: Connection, organization_id: int, named: Sequence[int | None]) -> dict[int, str | None]:
    """The default region of each business of an organization, which must have those that are named."""
    known = organizations.find_businesses(tx, organization_id)
    regions = {business.id: business.default_region for business in known}
    for each in named:
        if each is not None and each not in regions:
            raise CommandError(f"there is no business {each} in organization {organization_id}")
    return regions


def _pairs(named: Sequence[str]) -> dict[str, int]:
    """The business ids of ``INBOX=ID``.

    Raises:
        BadParameter: one of them is something else.
    """
    pairs = {}
    for each in named:
        inbox, equals, business_id = each.rpartition("=")
        if not equals or not inbox:
            raise typer.BadParameter("must be INBOX=ID, such as Support=12345", param_hint="--map")
        pairs[inbox.strip()] = object_id(business_id)
    return pairs


@contextmanager
def _written(path: Path | None, files: Sequence[Path]) -> Iterator[TextIO | None]:
    """Create the file of the report, readable by its owner only, if there are the files to import."""
    for each in files:
        if not each.is_file():
            raise CommandError(f"there is no file {each}")
    if path is None:
        yield None
        return
    try:
        handle = owner_only(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        raise CommandError(f"{path} already exists") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        yield file


def show(report: Report, *, json: bool) -> None:
    """Print what an import did."""
    if json:
        print_json(report.as_json())
        return
    if report.is_dry_run:
        say("Nothing was written. An import would do this:")
    facts: list[tuple[str, object]] = [
        ("new customers", report.customers_new),
        ("known customers", report.customers_known),
        ("conversations", report.conversations),
        ("messages", report.messages),
    ]
    print_facts(facts)
    if report.rows:
        say("")
        say("Left out or incomplete:")
        print_table(("what", "why", "count", "where"), report.rows, nothing="")


_HELP = {
    "chatwoot": "Import conversations of Chatwoot.",
    "zendesk": "Import the JSON export of Zendesk.",
    "freescout": "Import conversations of FreeScout.",
    "intercom": "Import conversations of Intercom.",
}


def _add(product: str) -> None:
    @app.command(product, help=_HELP[product])
    def import_product(
        files: Files,
        organization: OrganizationId,
        business: BusinessId = None,
        named: Map = None,
        since: Since = None,
        account: Account = "",
        dry_run: DryRun = False,
        strict: Strict = False,
        details: Details = None,
        json: JSON = False,
    ) -> None:
        with opened() as database, _written(details, files) as out, progress() as on_progress:
            report = Report(dry_run, out)
            source = f"{product}/{account}" if account else product
            rules = database.read_now(_rules, source, organization, business, _pairs(named or ()), since or 0)
            run.import_conversations(
                database,
                files,
                FORMATS[product],
                rules,
                report,
                is_strict=strict,
                actor=ACTOR,
                on_progress=on_progress,
            )
        show(report, json=json)


for _product in FORMATS:
    _add(_product)


@app.command("contacts")
def import_contacts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file whose first line has headings.")],
    organization: OrganizationId,
    business: Annotated[
        int | None,
        typer.Option(
            metavar="ID",
            parser=object_id,
            help="The business whose region phone numbers without a country code belong to. Not needed if all "
            "businesses have the same region.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD=HEADING", help=f"The column of a field: {', '.join(contacts_csv.FIELDS)}."),
    ] = None,
    dry_run: DryRun = False,
    strict: Strict = False,
    details: Details = None,
    json: JSON = False,
) -> None:
    """Import customers from a CSV file."""
    columns = _columns(column or ())
    with opened() as database, _written(details, [file]) as out, progress() as on_progress:
        report = Report(dry_run, out)
        contacts.import_contacts(
            database,
            file,
            organization,
            report,
            columns=columns,
            region=database.read_now(_region, organization, business),
            is_strict=strict,
            actor=ACTOR,
            on_progress=on_progress,
        )
    show(report, json=json)


def _region(tx: Connection, organization_id: int, business_id: int | None) -> str | None:
    """The region of a business; without one, the region of all businesses if they have the same."""
    organizations.get(tx, organization_id)
    regions = _businesses(tx, organization_id, (business_id,))
    if business_id is not None:
        return regions[business_id]
    different = set(regions.values())
    return different.pop() if len(different) == 1 else None


def _columns(named: Sequence[str]) -> dict[str, str]:
    """The headings of ``FIELD=HEADING``.

    Raises:
        BadParameter: one of them is something else.
    """
    columns = {}
    for each in named:
        field, equals, heading = each.partition("=")
        if not equals or field not in contacts_csv.FIELDS:
            fields = ", ".join(contacts_csv.FIELDS)
            raise typer.BadParameter(f"must be FIELD=HEADING with one of the fields {fields}", param_hint="--column")
        columns[field] = heading
    return columns
