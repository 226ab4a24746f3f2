"""``shopbell publishable-key …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, organizations, publishable_keys
from shopbell.cli.access import read, write
from shopbell.cli.organizations import OfOrganization
from shopbell.cli.output import ID_MAX, JSON, as_json, iso, now_ms, print_facts, print_json, print_table, say
from shopbell.errors import CommandError
from shopbell.publishable_keys import ORIGINS_MAX, PublishableKey

publishable_key_app = typer.Typer(
    help="Publishable keys, with which websites show the widget; they are no secrets.", no_args_is_help=True
)

KeyId = Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The key's id.")]


@publishable_key_app.command("create")
def create_publishable_key(
    organization: OfOrganization,
    origin: Annotated[
        list[str],
        typer.Option(
            metavar="ORIGIN",
            help="A website that may use it, such as https://shop.example or https://*.shop.example; may be repeated.",
        ),
    ],
    business: Annotated[
        int | None, typer.Option(metavar="ID", min=1, max=ID_MAX, help="The only business that it is for.")
    ] = None,
    json: JSON = False,
) -> None:
    """Make a key for the widget on a website."""
    origins, at_ms = _normal(origin), now_ms()

    def work(tx: Connection) -> PublishableKey:
        organizations.get(tx, organization)
        found = None if business is None else organizations.find_business(tx, organization, business)
        if business is not None and (found is None or not found.active):
            raise CommandError(f"organization {organization} has no active business {business}")
        made = publishable_keys.create(tx, organization, business, origins, now_ms=at_ms)
        _note(tx, made, "publishable-key.create", at_ms)
        return made

    made = write(work)
    if json:
        print_json(as_json(made))
        return
    print_facts(
        (("id", made.id), ("key", made.key), ("business", made.business_id or "all"), ("origins", _sites(made)))
    )


@publishable_key_app.command("list")
def list_publishable_keys(organization: OfOrganization, json: JSON = False) -> None:
    """List all keys of an organization, those that were revoked too."""
    found = read(lambda tx: publishable_keys.find_all(tx, organization))
    if json:
        print_json([as_json(each) for each in found])
        return
    rows = [
        (
            each.id,
            each.key,
            each.business_id or "all",
            _sites(each),
            iso(each.created_at_ms),
            iso(each.revoked_at_ms),
        )
        for each in found
    ]
    columns = ("id", "key", "business", "origins", "created", "revoked")
    print_table(columns, rows, nothing="There is no publishable key yet.")


@publishable_key_app.command("revoke")
def revoke_publishable_key(key: KeyId, json: JSON = False) -> None:
    """Revoke a key for good: no conversation begins with it any more; those that began go on."""
    at_ms = now_ms()

    def work(tx: Connection) -> PublishableKey:
        organization_id = publishable_keys.organization_of(tx, key)
        if organization_id is None:
            raise CommandError(f"there is no publishable key {key}; `shopbell publishable-key list` shows them")
        revoked = publishable_keys.revoke(tx, organization_id, key, now_ms=at_ms)
        _note(tx, revoked, "publishable-key.revoke", at_ms)
        return revoked

    revoked = write(work)
    if json:
        print_json(as_json(revoked))
    else:
        say(f"Publishable key {revoked.id} is revoked since {iso(revoked.revoked_at_ms)}.")


def _normal(origins: list[str]) -> list[str]:
    if len(origins) > ORIGINS_MAX:
        raise CommandError(f"a key may have at most {ORIGINS_MAX} origins")
    try:
        return [publishable_keys.normal_origin(origin) for origin in origins]
    except ValueError as error:
        raise CommandError(f"an origin {error}") from None


def _note(tx: Connection, key: PublishableKey, action: str, at_ms: int) -> None:
    subject = f"publishable key {key.id}"
    audit.record(tx, key.organization_id, audit.COMMAND_LINE, action, subject, now_ms=at_ms)


def _sites(key: PublishableKey) -> str:
    return " ".join(key.origins)
