"""``shopbell webhooks …``: who is told of events, what became of it, and a receiver to try it with."""

import sys
from enum import Enum
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from shopbell import audit, extra_headers, installation, organizations, settings, webhooks
from shopbell.cli.access import read, secret_keys, write
from shopbell.cli.organizations import OfOrganization, OnlyOrganization
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.errors import CommandError
from shopbell.extra_headers import ExtraHeader
from shopbell.outbound.addresses import AllowList
from shopbell.outbound.targets import check_url
from shopbell.sealing import Seals
from shopbell.storage.delivery_schema import PAYLOAD_VERSIONS, WEBHOOK_TOPICS
from shopbell.webhooks import Webhook, WebhookChanges

webhooks_app = typer.Typer(help="Addresses that are told of messages and transfers.", no_args_is_help=True)

Topic = Enum("Topic", {name: name for name in WEBHOOK_TOPICS}, type=str)  # type: ignore[misc]  # made of a tuple
Version = Enum("Version", {name: name for name in PAYLOAD_VERSIONS}, type=str)  # type: ignore[misc]  # so is this

WebhookId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The webhook's id.")]
Topics = Annotated[list[Topic] | None, typer.Option("--event", help="What to be told of; may be repeated.")]
Payload = Annotated[
    Version | None, typer.Option("--payload-version", help="envelope, or flat as older receivers read it.")
]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="NAME",
        help="A header to be sent with each delivery; may be repeated. Its value is asked for, or read from standard "
        "input, a line each.",
    ),
]

_SHOWN_ONCE = "Keep the secret safe: it is shown this once."


@webhooks_app.command("create")
def create_webhook(
    organization: OfOrganization,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent to, by https.")],
    event: Topics = None,
    header: Headers = None,
    payload_version: Payload = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Deliver nothing yet.")] = False,
    json: JSON = False,
) -> None:
    """Have an address told of all messages, unless --event says otherwise, and show its secret, once."""
    given = _changes(url, event or [Topic("messages")], header, payload_version)
    given["enabled"] = not disabled
    keys, at_ms = secret_keys(), now_ms()

    def work(tx: Connection) -> tuple[Webhook, str]:
        installation.adopt(tx, keys)
        organizations.get(tx, organization)
        made, secret = webhooks.create(tx, organization, _seals(), given, now_ms=at_ms)
        _note(tx, made, "webhook.create", at_ms)
        return made, secret

    made, secret = write(work)
    _show(made, secret, json=json)


@webhooks_app.command("list")
def list_webhooks(organization: OnlyOrganization = None, json: JSON = False) -> None:
    """List all webhooks, or those of one organization."""

    def work(tx: Connection) -> list[Webhook]:
        ids = [organization] if organization else webhooks.find_organizations(tx)
        return [each for id_ in ids for each in webhooks.find_all(tx, id_, _seals())]

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
    print_table(columns, rows, nothing="There is no webhook yet.")


@webhooks_app.command("show")
def show_webhook(webhook: WebhookId, json: JSON = False) -> None:
    """Show a webhook; never its secrets."""
    _show(read(lambda tx: _get(tx, webhook)), json=json)


@webhooks_app.command("update")
def update_webhook(
    webhook: WebhookId,
    url: Annotated[str | None, typer.Option(help="Another scheme, host or port forgets the headers.")] = None,
    event: Topics = None,
    header: Headers = None,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Forget all extra headers.")] = False,
    payload_version: Payload = None,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Deliver; or deliver nothing any more, and skip what waits."),
    ] = None,
    json: JSON = False,
) -> None:
    """Change what is given of a webhook."""
    if header and no_headers:
        raise typer.BadParameter("--header and --no-headers contradict each other")
    changes = _changes(url, event, header, payload_version)
    if no_headers:
        changes["extra_headers"] = []
    if enabled is not None:
        changes["enabled"] = enabled
    at_ms = now_ms()

    def work(tx: Connection) -> Webhook:
        organization = webhooks.organization_of(tx, webhook)
        changed = webhooks.update_webhook(tx, organization, webhook, _seals(), changes, now_ms=at_ms)
        _note(tx, changed, "webhook.update", at_ms)
        return changed

    if enabled:
        _skip_waiting(webhook)
    changed = write(work)
    if enabled is False:
        _skip_waiting(webhook)
    _show(changed, json=json)


@webhooks_app.command("delete")
def delete_webhook(webhook: WebhookId, json: JSON = False) -> None:
    """Delete a webhook: nothing is sent to it any more, and its secrets are forgotten."""
    at_ms = now_ms()

    def work(tx: Connection) -> Webhook:
        found = _get(tx, webhook)
        webhooks.delete_webhook(tx, found.organization_id, webhook, _seals(), now_ms=at_ms)
        _note(tx, found, "webhook.delete", at_ms)
        return found

    deleted = write(work)
    if json:
        print_json({"id": str(deleted.id), "deleted": True})
    else:
        say(f"Webhook {deleted.id} is deleted.")


@webhooks_app.command("rotate-secret")
def rotate_secret(webhook: WebhookId, json: JSON = False) -> None:
    """Give a webhook a new secret; for 24 hours the old one signs beside it."""
    at_ms = now_ms()

    def work(tx: Connection) -> tuple[Webhook, str]:
        organization = webhooks.organization_of(tx, webhook)
        secret = webhooks.rotate_secret(tx, organization, webhook, _seals(), now_ms=at_ms)
        found = _get(tx, webhook)
        _note(tx, found, "webhook.rotate-secret", at_ms)
        return found, secret

    found, secret = write(work)
    _show(found, secret, json=json)


@webhooks_app.command("resume")
def resume_webhooks(
    skip_mails: Annotated[
        bool, typer.Option("--skip-mails", help="Give up the mails that wait, too: most have gone out since.")
    ] = False,
    json: JSON = False,
) -> None:
    """Deliver and send again after a restore or a move, which hold all back; texts that wait are given up."""
    from shopbell.outreach.dispatches import MAILS, TEXTS, count_waiting

    at_ms = now_ms()
    given_up = (*TEXTS, *MAILS) if skip_mails else TEXTS

    def work(tx: Connection) -> tuple[bool, int]:
        mails = count_waiting(tx, MAILS)
        was_held_back = installation.resume(tx)
        for organization in webhooks.find_organizations(tx) if was_held_back else ():
            audit.record(tx, organization, audit.COMMAND_LINE, "webhook.resume", "all webhooks", now_ms=at_ms)
        return was_held_back, mails

    count = _give_up(given_up) if read(installation.held_back) else 0
    was_held_back, mails = write(work)
    if json:
        print_json({"resumed": was_held_back, "givenUp": count, "mails": mails if was_held_back else 0})
    elif not was_held_back:
        say("Nothing was held back.")
    else:
        say("Webhooks are delivered again.")
        if count:
            say(f"Nobody knows whether {count} that waited to be sent went out: they are not sent again.")
        if mails:
            say(f"Mails that waited go out now, some perhaps for the second time: {mails}.")


def _give_up(channels: tuple[str, ...]) -> int:
    """End what waits to be sent, in pieces between which others write; how many it was."""
    from shopbell.outreach.dispatches import give_up_waiting

    total = 0
    while count := write(lambda tx: give_up_waiting(tx, channels, now_ms=now_ms())):
        total += count
    return total


def _seals() -> Seals:
    return Seals(secret_keys(), webhooks.SEALING_PURPOSE)


def _get(tx: Connection, webhook_id: int) -> Webhook:
    return webhooks.get(tx, webhooks.organization_of(tx, webhook_id), webhook_id, _seals())


def _skip_waiting(webhook_id: int) -> None:
    """Put aside what waits for a webhook that is off, in pieces between which others write."""

    def work(tx: Connection) -> bool:
        return webhooks.skip_waiting(tx, webhooks.organization_of(tx, webhook_id), webhook_id, now_ms=now_ms())

    while write(work):
        pass


def _note(tx: Connection, webhook: Webhook, action: str, at_ms: int) -> None:
    audit.record(tx, webhook.organization_id, audit.COMMAND_LINE, action, f"webhook {webhook.id}", now_ms=at_ms)


def _changes(
    url: str | None, topics: list[Topic] | None, header_names: list[str] | None, version: Version | None
) -> WebhookChanges:
    changes: WebhookChanges = {}
    faults: list[str] = []
    if url is not None:
        changes["url"] = url
        try:
            check_url(url, AllowList.parse(settings.load().outbound_allow))
        except ValueError as error:
            faults.append(f"the URL {error}")
    if topics:
        changes["topics"] = [topic.value for topic in topics]
    if version is not None:
        changes["payload_version"] = version.value
    if header_names:
        changes["extra_headers"] = _headers(header_names, faults)
    if faults:
        raise CommandError("\n".join(faults))
    return changes


def _headers(names: list[str], faults: list[str]) -> list[ExtraHeader]:
    """The headers, their values asked for: on a command line everybody on this machine could read them."""
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
    return "unknown: encrypted under another secret key" if names is None else ", ".join(names)


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
