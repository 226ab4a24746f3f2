"""``shopbell organization …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, load_settings, read, secret_keys, write
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.errors import CommandError
from shopbell.organizations import organizations
from shopbell.organizations.organizations import KEEP_DAYS_MAX, Organization, OrganizationChanges
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.urls import check_url
from shopbell.security.encryption import Cipher
from shopbell.webhooks import endpoints, push_urls

app = typer.Typer()

KeepMessages = Annotated[
    str | None, typer.Option(metavar="N|none", help="Days after which messages are deleted. none: never.")
]
KeepEvents = Annotated[
    str | None, typer.Option(metavar="N|none", help="Days after which events are deleted. none: never.")
]
SecondFactor = Annotated[
    bool | None,
    typer.Option(
        "--require-second-factor/--no-require-second-factor",
        help="Whether employees need a passkey, or a code after their password, to sign in.",
        show_default=False,
    ),
]
PushUrl = Annotated[
    str | None,
    typer.Option(metavar="URL|none", help="URL that receives messages to customers, for their apps. none: no URL."),
]


@app.command("create")
def create_organization(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")], json: JSON = False
) -> None:
    """Create an organization."""
    organization = write(lambda tx: organizations.create(tx, name, actor=ACTOR, now_ms=now_ms()), create=True)
    if json:
        print_json(as_json(organization))
    else:
        say(f"Created organization {organization.id}: {organization.name}")


@app.command("list")
def list_organizations(json: JSON = False) -> None:
    """List organizations."""
    found = read(organizations.find_all)
    if json:
        print_json([as_json(organization) for organization in found])
    else:
        rows = [(each.id, each.name, iso(each.created_at_ms)) for each in found]
        print_table(("id", "name", "created"), rows, nothing="There are no organizations yet.")


@app.command("update")
def update_organization(
    organization: Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The organization's id.")],
    name: Annotated[str | None, typer.Option(help="Its name.")] = None,
    keep_messages_days: KeepMessages = None,
    keep_events_days: KeepEvents = None,
    require_second_factor: SecondFactor = None,
    push_url: PushUrl = None,
    json: JSON = False,
) -> None:
    """Change the given fields of an organization.

    Messages and events that are older than the given days are deleted for good.
    """
    changes: OrganizationChanges = {}
    if name is not None:
        changes["name"] = name
    if keep_messages_days is not None:
        changes["keep_messages_days"] = _days(keep_messages_days)
    if keep_events_days is not None:
        changes["keep_events_days"] = _days(keep_events_days)
    if require_second_factor is not None:
        changes["requires_second_factor"] = require_second_factor
    url = None if push_url == "none" else push_url
    if url is not None:
        _check_url(url)
    if not changes and push_url is None:
        raise CommandError("nothing to change; `shopbell organization update --help` lists the options")
    at_ms, keys = now_ms(), None if push_url is None else secret_keys()

    def work(tx: Connection) -> tuple[Organization, str | None]:
        changed = organizations.change(tx, organization, changes, actor=ACTOR, now_ms=at_ms)
        if keys is not None:
            cipher = Cipher(keys, endpoints.SEALING_PURPOSE)
            push_urls.change(tx, organization, cipher, url, actor=ACTOR, now_ms=at_ms)
        return changed, push_urls.find(tx, organization)

    changed, shown_url = write(work, keys=keys)
    if json:
        print_json({**as_json(changed), "pushUrl": shown_url})
        return
    print_facts(
        (
            ("organization", changed.id),
            ("name", changed.name),
            ("keep messages", _in_days(changed.keep_messages_days)),
            ("keep events", _in_days(changed.keep_events_days)),
            ("second factor", "required" if changed.requires_second_factor else "optional"),
            ("push URL", shown_url or "none"),
            ("created", iso(changed.created_at_ms)),
        )
    )


def _check_url(url: str) -> None:
    try:
        check_url(url, AllowList.parse(load_settings().outbound_allow))
    except ValueError as error:
        raise CommandError(f"the URL {error}") from None


def _days(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= KEEP_DAYS_MAX or len(text) > 9:
        raise CommandError(f"days must be a number from 1 to {KEEP_DAYS_MAX}, or none")
    return int(text)


def _in_days(days: int | None) -> str:
    return "forever" if days is None else f"{days} days"
