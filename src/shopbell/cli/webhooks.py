"""``shopbell webhooks …``."""

import sys
from enum import Enum
from typing import Annotated, Any, get_args

import typer
from sqlalchemy import Connection

from shopbell.channels.open_channels import rules_of
from shopbell.cli.access import ACTOR, load_settings, read, secret_keys, write
from shopbell.cli.choices import OfOrganization, OnlyOrganization
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.db import installation
from shopbell.errors import CommandError
from shopbell.inbox import scheduled_sending
from shopbell.notifications.outbox import count_waiting, give_up_waiting
from shopbell.organizations import organizations
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.urls import check_url
from shopbell.security.encryption import Cipher
from shopbell.webhooks import endpoints, extra_headers
from shopbell.webhooks.endpoints import PayloadVersion, Webhook, WebhookChanges
from shopbell.webhooks.extra_headers import ExtraHeader
from shopbell.webhooks.subscriptions import Topic

app = typer.Typer()

# Typer takes no lists of literals.
TopicOption = Enum("Topic", {name: name for name in get_args(Topic)}, type=str)  # type: ignore[misc]  # made at run time

WebhookId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The webhook's id.")]
Topics = Annotated[list[TopicOption] | None, typer.Option("--event", help="Events to send. Repeatable.")]
Payload = Annotated[
    PayloadVersion | None, typer.Option("--payload-version", help="Form of the payload. flat is for older receivers.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME",
        help="An extra header to send with each delivery. Repeatable. The command asks for its value, or reads it from "
        "standard input, one line for each header.",
    ),
]

_SHOWN_ONCE = "Save the secret now: it cannot be shown again."


@app.command("create")
def create_webhook(
    organization: OfOrganization,
    url: Annotated[str, typer.Argument(metavar="URL", help="The https URL that receives the events.")],
    event: Topics = None,
    header: Headers = None,
    payload_version: Payload = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it disabled.")] = False,
    json: JSON = False,
) -> None:
    """Create a webhook and show its secret once. By default it receives messages."""
    given = _changes(url, event or [TopicOption("messages")], header, payload_version)
    given["enabled"] = not disabled

    def work(tx: Connection) -> tuple[Webhook, str]:
        organizations.get(tx, organization)
        return endpoints.create(tx, organization, _cipher(), given, actor=ACTOR, now_ms=now_ms())

    made, secret = write(work, keys=secret_keys())
    _show(made, secret, json=json)


@app.command("list")
def list_webhooks(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List webhooks."""

    def work(tx: Connection) -> list[Webhook]:
        ids = [organization] if organization else endpoints.find_organizations(tx)
        return [each for id_ in ids for each in endpoints.find_all(tx, id_, _cipher())]

    found = read(work)
    if json:
        print_json([_as_json(webhook) for webhook in found])
        return
    rows = [
        (
            each.id,
            each.organization_id,
            each.url,
            " ".join(each.topics),
            each.payload_version,
            _state(each),
            iso(each.failing_since_ms),
            iso(each.created_at_ms),
        )
        for each in found
    ]
    columns = ("id", "organization", "url", "events", "payload", "state", "failing since", "created")
    print_table(columns, rows, nothing="There are no webhooks yet.")


@app.command("show")
def show_webhook(webhook: WebhookId, json: JSON = False) -> None:
    """Show a webhook without its secrets."""
    _show(read(lambda tx: _get(tx, webhook)), json=json)


@app.command("update")
def update_webhook(
    webhook: WebhookId,
    url: Annotated[
        str | None, typer.Option(help="New URL. If its host or port is new, the headers are removed.")
    ] = None,
    event: Topics = None,
    header: Headers = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Remove all extra headers.")] = False,
    payload_version: Payload = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Enable it, or disable it and skip its waiting deliveries."),
    ] = None,
    json: JSON = False,
) -> None:
    """Change the given fields of a webhook."""
    if header and no_headers:
        raise typer.BadParameter("--header and --no-headers contradict each other")
    changes = _changes(url, event, header, payload_version)
    if no_headers:
        changes["extra_headers"] = []
    if enabled is not None:
        changes["enabled"] = enabled

    def work(tx: Connection) -> Webhook:
        organization = endpoints.organization_of(tx, webhook)
        return endpoints.update_webhook(tx, organization, webhook, _cipher(), changes, actor=ACTOR, now_ms=now_ms())

    if enabled:
        _skip_waiting(read(lambda tx: endpoints.organization_of(tx, webhook)), webhook)
    changed = write(work)
    if enabled is False:
        _skip_waiting(changed.organization_id, webhook)
    _show(changed, json=json)


@app.command("delete")
def delete_webhook(webhook: WebhookId, json: JSON = False) -> None:
    """Delete a webhook and its secrets."""

    def work(tx: Connection) -> Webhook:
        organization = endpoints.organization_of(tx, webhook)
        return endpoints.delete_webhook(tx, organization, webhook, _cipher(), actor=ACTOR, now_ms=now_ms())

    deleted = write(work)
    _skip_waiting(deleted.organization_id, webhook)
    if json:
        print_json({"id": str(deleted.id), "deleted": True})
    else:
        say(f"Deleted webhook {deleted.id}.")


@app.command("rotate-secret")
def rotate_secret(webhook: WebhookId, json: JSON = False) -> None:
    """Replace the secret of a webhook. For 24 hours both secrets sign."""

    def work(tx: Connection) -> tuple[Webhook, str]:
        organization = endpoints.organization_of(tx, webhook)
        secret = endpoints.rotate_secret(tx, organization, webhook, _cipher(), actor=ACTOR, now_ms=now_ms())
        return endpoints.get(tx, organization, webhook, _cipher()), secret

    found, secret = write(work)
    _show(found, secret, json=json)


@app.command("resume")
def resume_webhooks(
    skip_mails: Annotated[
        bool, typer.Option("--skip-mails", help="Also discard waiting emails: most were sent since the backup.")
    ] = False,
    json: JSON = False,
) -> None:
    """Resume deliveries after a restore or a move.

    Webhooks and waiting emails are sent. Waiting text messages are discarded, because they may have been sent already.
    For the same reason, scheduled messages wait until an employee decides.
    """
    # Recipients see an email once, even if it was sent since the backup.
    channels = rules_of(load_settings()).values()
    sent_again = tuple(each.name for each in channels if each.detects_repeats)
    given_up = tuple(each.name for each in channels if skip_mails or not each.detects_repeats)

    def work(tx: Connection) -> tuple[bool, int, int]:
        mails, refused = count_waiting(tx, sent_again), scheduled_sending.refuse_old(tx, now_ms=now_ms())
        return endpoints.resume_all(tx, actor=ACTOR, now_ms=now_ms()), mails, refused

    count = _give_up(given_up) if read(installation.pause_reason) else 0
    was_held_back, mails, refused = write(work)
    if json:
        mails = mails if was_held_back else 0
        print_json({"resumed": was_held_back, "givenUp": count, "mails": mails, "scheduledMessages": refused})
    elif not was_held_back:
        say("Nothing was stopped.")
    else:
        say("Resumed the delivery of webhooks.")
        if count:
            say(f"Discarded {count} waiting messages, because they may have been sent already.")
        if mails:
            say(f"Sending {mails} waiting emails. Some may arrive twice.")
        if refused:
            say(f"Kept {refused} scheduled messages, which may have been sent already, for employees to decide.")


def _give_up(channels: tuple[str, ...]) -> int:
    """Discard waiting messages in batches, between which others can write. Returns how many."""
    total = 0
    while count := write(lambda tx: give_up_waiting(tx, channels, now_ms=now_ms())):
        total += count
    return total


def _cipher() -> Cipher:
    return Cipher(secret_keys(), endpoints.SEALING_PURPOSE)


def _get(tx: Connection, webhook_id: int) -> Webhook:
    return endpoints.get(tx, endpoints.organization_of(tx, webhook_id), webhook_id, _cipher())


def _skip_waiting(organization_id: int, webhook_id: int) -> None:
    """Skip the waiting deliveries of a webhook in batches, between which others can write."""
    while write(lambda tx: endpoints.skip_waiting(tx, organization_id, webhook_id, now_ms=now_ms())):
        pass


def _changes(
    url: str | None, topics: list[TopicOption] | None, header_names: list[str] | None, version: PayloadVersion | None
) -> WebhookChanges:
    changes: WebhookChanges = {}
    faults: list[str] = []
    if url is not None:
        changes["url"] = url
        try:
            check_url(url, AllowList.parse(load_settings().outbound_allow))
        except ValueError as error:
            faults.append(f"the URL {error}")
    if topics:
        changes["topics"] = [topic.value for topic in topics]
    if version is not None:
        changes["payload_version"] = version
    if header_names:
        changes["extra_headers"] = _headers(header_names, faults)
    if faults:
        raise CommandError("\n".join(faults))
    return changes


def _headers(names: list[str], faults: list[str]) -> list[ExtraHeader]:
    """The headers with their values, which are asked for: others on this machine can read a command line."""
    headers: list[ExtraHeader] = []
    try:
        extra_headers.check_together(names)
        for name in names:
            extra_headers.check_name(name)
    except ValueError as error:
        faults.append(f"--header {error}")
        return headers
    for name in names:
        value = _value_of(name)
        try:
            extra_headers.check_value(value)
        except ValueError as error:
            faults.append(f"the value of --header {name} {error}")
        headers.append(ExtraHeader(name, value))
    return headers


def _value_of(name: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {name}", hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _as_json(webhook: Webhook) -> dict[str, Any]:
    members = as_json(webhook)
    members["subscribedEvents"] = list(members.pop("topics"))
    names = members.pop("extraHeaderNames")
    members["extraHeaders"] = None if names is None else [{"name": name, "set": True} for name in names]
    return members


def _state(webhook: Webhook) -> str:
    if webhook.enabled:
        return "enabled"
    return f"disabled: {webhook.disabled_reason}" if webhook.disabled_reason else "disabled"


def _headers_of(webhook: Webhook) -> str:
    names = webhook.extra_header_names
    return "unknown: encrypted with another secret key" if names is None else ", ".join(names)


def _show(webhook: Webhook, secret: str | None = None, *, json: bool) -> None:
    if json:
        print_json(_as_json(webhook) | ({"secret": secret} if secret else {}))
        return
    print_facts(
        (
            ("webhook", webhook.id),
            ("organization", webhook.organization_id),
            ("url", webhook.url),
            ("events", " ".join(webhook.topics)),
            ("payload", webhook.payload_version),
            ("headers", _headers_of(webhook)),
            ("state", _state(webhook)),
            ("failing since", iso(webhook.failing_since_ms)),
            ("old secret until", iso(webhook.old_secret_expires_at_ms)),
            ("created", iso(webhook.created_at_ms)),
            ("secret", secret),
        )
    )
    if secret:
        say(_SHOWN_ONCE, error=True)
