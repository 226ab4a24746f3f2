"""``shopbell customers …``: who writes, and what can be done about them."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, blocks, customer_export, customers, erasure, merges, threads
from shopbell.cli.access import opened, read, write
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, print_facts, print_json, say
from shopbell.cli.threads import print_threads
from shopbell.customers import Customer, Identity
from shopbell.errors import CommandError
from shopbell.merges import Plan
from shopbell.threads import Thread

customers_app = typer.Typer(help="Customers, and what they are known by.", no_args_is_help=True)

CustomerId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The customer's id.")]


@customers_app.command("show")
def show_customer(
    customer: CustomerId,
    json: JSON = False,
) -> None:
    """Show a customer: what they are known by, who may be the same person, and their conversations."""

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


@customers_app.command("block")
def block_customer(customer: CustomerId, json: JSON = False) -> None:
    """Hear a customer no more: what they send is answered as ever, and kept apart where nobody sees it."""
    _set_blocked(customer, blocked=True, json=json)


@customers_app.command("unblock")
def unblock_customer(customer: CustomerId, json: JSON = False) -> None:
    """Hear a customer again, from their next message on; what they sent meanwhile does not come back."""
    _set_blocked(customer, blocked=False, json=json)


def _set_blocked(customer: int, *, blocked: bool, json: bool) -> None:
    def work(tx: Connection) -> None:
        organization_id = customers.get(tx, customer).organization_id
        blocks.set_blocked(tx, organization_id, customer, audit.COMMAND_LINE, blocked=blocked)

    write(work)
    if json:
        print_json({"id": str(customer), "blocked": blocked})
    else:
        say(f"Customer {customer} is {'blocked' if blocked else 'not blocked any more'}.")


@customers_app.command("merge")
def merge_customers(
    customer: CustomerId,
    other: Annotated[int, typer.Argument(metavar="OTHER", min=1, max=ID_MAX, help="Who becomes that customer, by id.")],
    preview: Annotated[bool, typer.Option("--preview", help="Change nothing, only say what it would do.")] = False,
    json: JSON = False,
) -> None:
    """Make two customers one; the API undoes it within 30 days."""

    def look(tx: Connection) -> tuple[Plan, int | None]:
        return merges.preview(tx, customers.get(tx, customer).organization_id, customer, _other(tx)), None

    def work(tx: Connection) -> tuple[Plan, int | None]:
        organization_id = customers.get(tx, customer).organization_id
        return merges.merge(tx, organization_id, customer, _other(tx), audit.COMMAND_LINE)

    def _other(tx: Connection) -> int:
        if customers.get(tx, other).organization_id != customers.get(tx, customer).organization_id:
            raise CommandError("the two customers are not of one organization")
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
            ("merge", merge_id or "not done: this is a preview"),
            ("customer", plan.kept.id),
            ("merged", plan.merged.id),
            ("identities", ", ".join(each.shown for each in plan.identities)),
            ("moving threads", ", ".join(map(str, plan.moving_thread_ids))),
            ("staying threads", ", ".join(map(str, plan.staying_thread_ids))),
            ("filled fields", ", ".join(plan.filled_fields)),
        )
    )


@customers_app.command("erase")
def erase_customer(
    customer: CustomerId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JSON = False,
) -> None:
    """Take away for good all that is personal of a customer; conversations stay, empty. There is no way back."""
    if not yes:
        typer.confirm(f"Erase customer {customer} for good?", abort=True, err=True)
    with opened() as database:
        organization_id = database.read_now(customers.get, customer).organization_id
        person = database.write_now(erasure.forget, organization_id, customer, audit.COMMAND_LINE)
        for wipe in erasure.WIPES:
            place: erasure.Place | None = ()
            while place is not None:
                place = database.write_now(wipe, organization_id, person, place)
    if json:
        print_json({"id": str(customer), "customerIds": [str(id_) for id_ in person.customer_ids]})
    else:
        say(f"Customer {customer} is erased.")


@customers_app.command("export")
def export_customer(
    customer: CustomerId,
    output: Annotated[Path | None, typer.Option("--output", help="A file to write it to; none is overwritten.")] = None,
    json: JSON = False,  # noqa: ARG001 - it is JSON in any case
) -> None:
    """Print everything that is kept of a customer, as one JSON document."""
    with opened() as database:
        organization_id = database.read_now(customers.get, customer).organization_id
        document = database.read_now(customer_export.begin, organization_id, customer)
        pieces = customer_export.pieces(database.read_now, organization_id, document)
        if output is None:
            for piece in pieces:
                sys.stdout.write(piece.decode())
            return
        with output.open("xb") as file:
            output.chmod(0o600)
            file.writelines(pieces)
    say(f"Customer {customer} is written to {output}")
