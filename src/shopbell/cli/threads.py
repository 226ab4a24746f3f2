"""``shopbell threads …``."""

import time
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from shopbell.cli.access import opened, read
from shopbell.cli.choices import OnlyOrganization
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.conversations import threads
from shopbell.conversations.threads import Message, Status, Thread

app = typer.Typer()

FOLLOW_PAUSE_S = 0.5


@app.command("list")
def list_threads(
    organization: OnlyOrganization = None,
    business: Annotated[int | None, typer.Option(metavar="ID", parser=object_id, help="Only this business.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most conversations to list.")] = 50,
    json: JSON = False,
) -> None:
    """List conversations, the most recently changed first."""
    found = read(
        lambda tx: threads.find_all(tx, organization_id=organization, business_id=business, status=status, limit=limit)
    )
    if json:
        print_json([as_json(thread) for thread in found])
    else:
        print_threads(found)


@app.command("show")
def show_thread(
    thread: Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The conversation's id.")],
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Print new messages as they arrive, until Ctrl-C. With --json, each line is one document: first the "
            "conversation with its messages, then each new message.",
        ),
    ] = False,
    json: JSON = False,
) -> None:
    """Show a conversation and its messages."""

    def work(tx: Connection) -> tuple[Thread, list[Message]]:
        found = threads.get(tx, thread)
        return found, threads.history(tx, found)

    with opened() as database:
        found, messages = database.read_now(work)
        if json:
            document = {**as_json(found), "messages": [_message(each) for each in messages]}
            print_json(document, one_line=follow)
        else:
            _print_thread(found)
            for message in messages:
                _print_message(message)
        while follow:
            time.sleep(FOLLOW_PAUSE_S)
            seen = messages[-1].sequence if messages else 0
            for message in (new := database.read_now(threads.history, found, after_sequence=seen)):
                if json:
                    print_json(_message(message), one_line=True)
                else:
                    _print_message(message)
            messages = new or messages


def _message(message: Message) -> dict[str, Any]:
    members = as_json(message)
    members["timestamp"] = members.pop("createdAt")
    return members


def print_threads(found: list[Thread]) -> None:
    """Print conversations as a table."""
    rows = [
        (
            each.id,
            each.organization_id,
            each.business_id,
            each.customer_id,
            each.channel,
            each.status,
            each.last_sequence,
            iso(each.updated_at_ms),
        )
        for each in found
    ]
    columns = ("id", "organization", "business", "customer", "channel", "status", "messages", "updated")
    print_table(columns, rows, nothing="There are no such conversations.")


def _print_thread(thread: Thread) -> None:
    print_facts(
        (
            ("thread", thread.id),
            ("organization", thread.organization_id),
            ("business", thread.business_id),
            ("customer", thread.customer_id),
            ("channel", thread.channel),
            ("status", thread.status),
            ("created", iso(thread.created_at_ms)),
            ("updated", iso(thread.updated_at_ms)),
        )
    )
    say("")


def _print_message(message: Message) -> None:
    who = "customer" if message.from_customer else "note" if message.internal else "business"
    head = f"{message.sequence:>4}  {iso(message.created_at_ms)}  {who:<8}  "
    first, *others = message.body.replace("\r\n", "\n").split("\n")
    say(head + first)
    for line in others:
        say(" " * len(head) + line)
