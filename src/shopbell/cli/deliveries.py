"""``shopbell webhooks deliveries``, ``delivery``, ``replay`` and ``test``: what became of events, and once more."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from shopbell import audit, delivery_log, webhooks
from shopbell.cli.access import read, write
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.cli.times import unix_ms
from shopbell.cli.webhooks import WebhookId
from shopbell.delivery_log import REPLAY_MAX, Attempt, Delivery, Replayed
from shopbell.errors import CommandError, NotFound
from shopbell.storage.delivery_schema import DELIVERY_STATES

deliveries_app = typer.Typer()

State = Enum("State", {name: name for name in DELIVERY_STATES}, type=str)  # type: ignore[misc]  # made of a tuple

DeliveryId = Annotated[int, typer.Argument(metavar="DELIVERY", min=1, max=ID_MAX, help="The delivery's id.")]
Since = Annotated[
    int | None,
    typer.Option(parser=unix_ms, metavar="TIME", help="Of events from then on: ISO 8601, UTC unless it has a zone."),
]
Until = Annotated[int | None, typer.Option(parser=unix_ms, metavar="TIME", help="Of events before then.")]


@deliveries_app.command("deliveries")
def list_deliveries(
    webhook: WebhookId,
    state: Annotated[State | None, typer.Option(help="Only of this state.")] = None,
    since: Since = None,
    thread: Annotated[int | None, typer.Option(min=1, max=ID_MAX, help="Only of this conversation.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 50,
    json: JSON = False,
) -> None:
    """List what became of each event for a webhook, the newest first."""

    def work(tx: Connection) -> list[Delivery]:
        organization = webhooks.organization_of(tx, webhook)
        wanted = None if state is None else state.value
        return delivery_log.find(tx, organization, webhook, limit=limit, state=wanted, since_ms=since, thread_id=thread)

    found = read(work)
    if json:
        print_json([_as_json(delivery) for delivery in found])
        return
    rows = [
        (
            each.position,
            each.event_type,
            each.thread_id,
            each.state,
            each.attempts,
            each.last and (each.last.status or each.last.error),
            iso(each.created_at_ms),
            iso(each.next_attempt_at_ms),
        )
        for each in found
    ]
    columns = ("id", "event", "thread", "state", "attempts", "last answer", "happened", "next attempt")
    print_table(columns, rows, nothing="There is no such delivery.")


@deliveries_app.command("delivery")
def show_delivery(webhook: WebhookId, delivery: DeliveryId, json: JSON = False) -> None:
    """Show a delivery with all its attempts."""

    def work(tx: Connection) -> tuple[Delivery, list[Attempt]]:
        organization = webhooks.organization_of(tx, webhook)
        with _found(webhook, delivery):
            return delivery_log.get(tx, organization, webhook, delivery)

    found, attempts = read(work)
    if json:
        print_json({**_as_json(found), "attemptLog": [_attempt(each) for each in attempts]})
        return
    print_facts(
        (
            ("delivery", found.position),
            ("event", found.event_type),
            ("thread", found.thread_id),
            ("sequence", found.thread_sequence),
            ("message", found.message_id),
            ("state", found.state),
            ("happened", iso(found.created_at_ms)),
            ("next attempt", iso(found.next_attempt_at_ms)),
            ("settled", iso(found.settled_at_ms)),
        )
    )
    say("")
    rows = [
        (each.number, iso(each.at_ms), each.duration_ms, each.status or each.error, each.answer) for each in attempts
    ]
    print_table(("attempt", "at", "ms", "outcome", "answer"), rows, nothing="There was no attempt yet.")


@deliveries_app.command("test")
def send_test(webhook: WebhookId, json: JSON = False) -> None:
    """Send a webhook a test, by the very way that all events go."""
    at_ms = now_ms()

    def work(tx: Connection) -> int:
        organization = webhooks.organization_of(tx, webhook)
        _note(tx, organization, webhook, "webhook.test", at_ms)
        return delivery_log.send_test(tx, organization, webhook, now_ms=at_ms)

    position = write(work)
    if json:
        print_json({"deliveryId": str(position)})
    else:
        say(f"The test is on its way; `shopbell webhooks delivery {webhook} {position}` tells what becomes of it.")


@deliveries_app.command("replay")
def replay(
    webhook: WebhookId,
    delivery: Annotated[
        int | None, typer.Argument(metavar="[DELIVERY]", min=1, max=ID_MAX, help="Only this delivery.")
    ] = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[State, typer.Option(help="Only of this state, which is not waiting.")] = State("exhausted"),
    json: JSON = False,
) -> None:
    """Send one delivery again; or with --since all that failed, those of each conversation in their order."""
    if (delivery is None) == (since is None):
        raise typer.BadParameter("give either a delivery or --since")
    if state.value == "waiting":
        raise typer.BadParameter("what is waiting is sent anyway", param_hint="--state")
    at_ms = now_ms()

    def work(tx: Connection, after: int = 0) -> Replayed:
        organization = webhooks.organization_of(tx, webhook)
        if not after:
            _note(tx, organization, webhook, "webhook.replay", at_ms)
        if delivery is not None:
            with _found(webhook, delivery):
                delivery_log.replay(tx, organization, webhook, delivery, now_ms=at_ms)
            return Replayed(1, more=False)
        return delivery_log.replay_all(
            tx, organization, webhook, state=state.value, since_ms=since or 0, until_ms=until, after=after, now_ms=at_ms
        )

    done = write(work)
    count = done.count
    while done.more and count < REPLAY_MAX:
        done = write(partial(work, after=done.last))
        count += done.count
    if json:
        print_json({"replayed": count, "more": done.more})
        return
    say(f"{count} of them wait to be sent again." if count != 1 else "It waits to be sent again.")
    if done.more:
        say("There are more: run the command once more.", error=True)


@contextmanager
def _found(webhook: int, delivery: int) -> Iterator[None]:
    """The webhook is there: what is not found is the delivery."""
    try:
        yield
    except NotFound:
        raise CommandError(
            f"there is no delivery {delivery} of webhook {webhook}; `shopbell webhooks deliveries {webhook}` lists them"
        ) from None


def _note(tx: Connection, organization_id: int, webhook: int, action: str, at_ms: int) -> None:
    audit.record(tx, organization_id, audit.COMMAND_LINE, action, f"webhook {webhook}", now_ms=at_ms)


def _as_json(delivery: Delivery) -> dict[str, Any]:
    members = as_json(delivery)
    last = members.pop("last")
    return {
        "id": str(members.pop("position")),
        **members,
        "lastAttempt": None if last is None else _attempt(last),
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {**as_json(attempt), "durationMs": attempt.duration_ms}
