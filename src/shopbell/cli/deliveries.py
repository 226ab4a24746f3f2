"""``shopbell webhooks deliveries``, ``delivery``, ``replay`` and ``test``: the delivery log."""

from functools import partial
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, not_found, read, write
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.cli.times import unix_ms
from shopbell.cli.webhooks import WebhookId
from shopbell.events.actors import SYSTEM
from shopbell.runtime.clock import now_ms
from shopbell.webhooks import delivery_log, endpoints
from shopbell.webhooks.delivery_log import REPLAY_MAX, Attempt, Delivery, Replayed, Settled, State

app = typer.Typer()

DeliveryId = Annotated[int, typer.Argument(metavar="DELIVERY", parser=object_id, help="The delivery's id.")]
Since = Annotated[
    int | None,
    typer.Option(parser=unix_ms, metavar="TIME", help="Only events since this time: ISO 8601, in UTC by default."),
]
Until = Annotated[int | None, typer.Option(parser=unix_ms, metavar="TIME", help="Only events before this time.")]


@app.command("deliveries")
def list_deliveries(
    webhook: WebhookId,
    state: Annotated[State | None, typer.Option(help="Only deliveries in this state.")] = None,
    since: Since = None,
    thread: Annotated[
        int | None, typer.Option(metavar="ID", parser=object_id, help="Only deliveries of this conversation.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most deliveries to list.")] = 50,
    json: JSON = False,
) -> None:
    """List the deliveries of a webhook, the newest first."""

    def work(tx: Connection) -> list[Delivery]:
        organization = endpoints.organization_of(tx, webhook)
        return delivery_log.find(tx, organization, webhook, limit=limit, state=state, since_ms=since, thread_id=thread)

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
    columns = ("id", "event", "thread", "state", "attempts", "last response", "happened", "next attempt")
    print_table(columns, rows, nothing="There are no such deliveries.")


@app.command("delivery")
def show_delivery(webhook: WebhookId, delivery: DeliveryId, json: JSON = False) -> None:
    """Show a delivery and its attempts."""

    def work(tx: Connection) -> tuple[Delivery, list[Attempt]]:
        organization = endpoints.organization_of(tx, webhook)
        with not_found(_no_delivery(webhook, delivery)):
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
    print_table(("attempt", "at", "ms", "outcome", "response"), rows, nothing="There have been no attempts yet.")


@app.command("test")
def send_test(webhook: WebhookId, json: JSON = False) -> None:
    """Send a test event to a webhook. It is delivered like any other event."""

    def work(tx: Connection) -> int:
        organization = endpoints.organization_of(tx, webhook)
        return delivery_log.send_test(tx, organization, webhook, actor=SYSTEM, now_ms=now_ms())

    position = write(work)
    if json:
        print_json({"deliveryId": str(position)})
    else:
        say(f"Queued a test event; `shopbell webhooks delivery {webhook} {position}` shows its delivery.")


@app.command("replay")
def replay(
    webhook: WebhookId,
    delivery: Annotated[
        int | None, typer.Argument(metavar="[DELIVERY]", parser=object_id, help="Send only this delivery again.")
    ] = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[Settled, typer.Option(help="Only deliveries in this state.")] = "exhausted",
    json: JSON = False,
) -> None:
    """Send deliveries again.

    Either one delivery or, with --since, all failed ones in the order of their conversations.
    """
    if (delivery is None) == (since is None):
        raise typer.BadParameter("give either DELIVERY or --since")
    at_ms = now_ms()

    def work(tx: Connection, after: int = 0) -> Replayed:
        organization = endpoints.organization_of(tx, webhook)
        if delivery is not None:
            with not_found(_no_delivery(webhook, delivery)):
                delivery_log.replay(tx, organization, webhook, delivery, actor=ACTOR, now_ms=at_ms)
            return Replayed(1, more=False)
        return delivery_log.replay_all(
            tx,
            organization,
            webhook,
            state=state,
            since_ms=since or 0,
            until_ms=until,
            after=after,
            actor=ACTOR,
            now_ms=at_ms,
        )

    done = write(work)
    count = done.count
    while done.more and count < REPLAY_MAX:
        done = write(partial(work, after=done.last))
        count += done.count
    if json:
        print_json({"replayed": count, "more": done.more})
        return
    say(f"Queued {count} {'delivery' if count == 1 else 'deliveries'} to be sent again.")
    if done.more:
        say("There are more deliveries: run the command again.", error=True)


def _no_delivery(webhook: int, delivery: int) -> str:
    return f"webhook {webhook} has no delivery {delivery}; `shopbell webhooks deliveries {webhook}` lists them"


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
