"""``shopbell customers …``."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import opened, read, write
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, say
from shopbell.cli.threads import print_threads
from shopbell.conversations import threads
from shopbell.conversations.erasure import Place
from shopbell.conversations.threads import Thread
from shopbell.customers import blocking, customers, export, merges
from shopbell.customers.customers import Customer, Identity
from shopbell.customers.erasure import forget
from shopbell.customers.merges import Plan
from shopbell.errors import CommandError
from shopbell.events.actors import SYSTEM
from shopbell.operations import erasure

app = typer.Typer()

CustomerId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The customer's id.")]


@app.command("show")
def show_customer(
    customer: CustomerId,
    json: JSON = False,
) -> None:
    """Show a customer, their identities and conversations."""

    def work(tx: Connection) -> tuple[Customer, list[Identity], list[int], list[Thread]]:
        found = customers.get(tx, customer)
        return (
            found,
            customers.identities_of(tx, found),
            customers.possible_duplicates_of(tx, found),
            threads.find_all(tx, organization_id=found.organization_id, customer_id=found.id),
        )

    found, identities, duplicates, conversations = read(work)
    if json:
        print_json(
            {
                **as_json(found),
                "identities": [as_json(identity) for identity in identities],
                "possibleDuplicates": [str(duplicate) for duplicate in duplicates],
                "threads": [as_json(thread) for thread in conversations],
            }
        )
        return
    print_facts(
        (
            ("customer", found.id),
            ("organization", found.organization_id),
            ("first name", found.first_name),
            ("last name", found.last_name),
            ("company", found.company),
            ("locale", found.locale),
            ("created", iso(found.created_at_ms)),
            ("blocked", iso(found.blocked_at_ms)),
            ("erased", iso(found.erased_at_ms)),
            ("merged into", found.merged_into_id and f"customer {found.merged_into_id}"),
            *((identity.kind, identity.shown) for identity in identities),
            ("may also be", ", ".join(f"customer {duplicate}" for duplicate in duplicates)),
        )
    )
    say("")
    print_threads(conversations)


@app.command("block")
def block_customer(customer: CustomerId, json: JSON = False) -> None:
    """Block a customer. Their messages are accepted but shown to no one."""
    _set_blocked(customer, blocked=True, json=json)


@app.command("unblock")
def unblock_customer(customer: CustomerId, json: JSON = False) -> None:
    """Unblock a customer. Messages that they sent while blocked stay hidden."""
    _set_blocked(customer, blocked=False, json=json)


def _set_blocked(customer: int, *, blocked: bool, json: bool) -> None:
    def work(tx: Connection) -> None:
        organization_id = customers.get(tx, customer).organization_id
        blocking.set_blocked(tx, organization_id, customer, blocked=blocked, actor=SYSTEM)

    write(work)
    if json:
        print_json({"id": str(customer), "blocked": blocked})
    else:
        say(f"{'Blocked' if blocked else 'Unblocked'} customer {customer}.")


@app.command("merge")
def merge_customers(
    customer: CustomerId,
    other: Annotated[
        int,
        typer.Argument(metavar="OTHER", parser=object_id, help="The customer to merge into ID."),
    ],
    preview: Annotated[bool, typer.Option("--preview", help="Show what the merge would do; change nothing.")] = False,
    json: JSON = False,
) -> None:
    """Merge two customers into one. The API can undo it for 30 days."""

    def look(tx: Connection) -> tuple[Plan, int | None]:
        return merges.preview(tx, customers.get(tx, customer).organization_id, customer, _other(tx)), None

    def work(tx: Connection) -> tuple[Plan, int | None]:
        organization_id = customers.get(tx, customer).organization_id
        return merges.merge(tx, organization_id, customer, _other(tx), actor=SYSTEM)

    def _other(tx: Connection) -> int:
        if customers.get(tx, other).organization_id != customers.get(tx, customer).organization_id:
            raise CommandError("the two customers belong to different organizations")
        return other

    plan, merge_id = read(look) if preview else write(work)
    if json:
        print_json(
            {
                "mergeId": None if merge_id is None else str(merge_id),
                "customerId": str(plan.kept.id),
                "mergedCustomerId": str(plan.merged.id),
                "identities": [{"kind": each.kind, "shown": each.shown} for each in plan.identities],
                "movingThreadIds": [str(id_) for id_ in plan.moving_thread_ids],
                "stayingThreadIds": [str(id_) for id_ in plan.staying_thread_ids],
                "filledFields": list(plan.filled_fields),
            }
        )
        return
    print_facts(
        (
            ("merge", merge_id or "preview, nothing was changed"),
            ("customer", plan.kept.id),
            ("merged", plan.merged.id),
            ("identities", ", ".join(each.shown for each in plan.identities)),
            ("moving threads", ", ".join(map(str, plan.moving_thread_ids))),
            ("staying threads", ", ".join(map(str, plan.staying_thread_ids))),
            ("filled fields", ", ".join(plan.filled_fields)),
        )
    )


@app.command("erase")
def erase_customer(
    customer: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json: JSON = False,
) -> None:
    """Erase all personal data of a customer. This cannot be undone; empty conversations stay."""
    if not yes:
        typer.confirm(f"Erase all personal data of customer {customer}? This cannot be undone.", abort=True, err=True)
    with opened() as database:
        organization_id = database.read_now(customers.get, customer).organization_id
        person = database.write_now(forget, organization_id, customer, actor=SYSTEM)
        for wipe in erasure.WIPES:
            place: Place | None = ()
            while place is not None:
                place = database.write_now(wipe, organization_id, person, place)
    if json:
        print_json({"id": str(customer), "customerIds": [str(id_) for id_ in person.customer_ids]})
    else:
        say(f"Erased customer {customer}.")


@app.command("export")
def export_customer(
    customer: CustomerId,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="A file to write instead of standard output; it must not exist."),
    ] = None,
    json: JSON = False,  # noqa: ARG001 - the output is always JSON
) -> None:
    """Print all stored data of a customer as one JSON document."""
    with opened() as database:
        organization_id = database.read_now(customers.get, customer).organization_id
        document = database.read_now(export.begin, organization_id, customer)
        pieces = export.pieces(database.read_now, organization_id, document)
        if output is None:
            for piece in pieces:
                sys.stdout.write(piece.decode())
            return
        with output.open("xb") as file:
            output.chmod(0o600)
            file.writelines(pieces)
    say(f"Exported customer {customer} to {output}")
