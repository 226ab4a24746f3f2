"""``shopbell publishable-key …``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, not_found, read, write
from shopbell.cli.choices import OfOrganization
from shopbell.cli.output import JSON, as_json, iso, object_id, print_facts, print_json, print_table, say
from shopbell.errors import CommandError
from shopbell.organizations import organizations, publishable_keys
from shopbell.organizations.publishable_keys import ORIGINS_MAX, PublishableKey
from shopbell.runtime.clock import now_ms

app = typer.Typer()

KeyId = Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The key's id.")]


@app.command("create")
def create_publishable_key(
    organization: OfOrganization,
    origin: Annotated[
        list[str],
        typer.Option(
            metavar="ORIGIN",
            help="A website that may use the key, such as https://shop.example or https://*.shop.example. Repeatable.",
        ),
    ],
    business: Annotated[
        int | None, typer.Option(metavar="ID", parser=object_id, help="Limit the key to this business.")
    ] = None,
    json: JSON = False,
) -> None:
    """Create a key for the widget on a website."""
    origins = _normal(origin)

    def work(tx: Connection) -> PublishableKey:
        organizations.get(tx, organization)
        with not_found(f"organization {organization} has no active business {business}"):
            return publishable_keys.create(tx, organization, business, origins, actor=ACTOR, now_ms=now_ms())

    made = write(work)
    if json:
        print_json(as_json(made))
        return
    print_facts(
        (("id", made.id), ("key", made.key), ("business", made.business_id or "all"), ("origins", _sites(made)))
    )


@app.command("list")
def list_publishable_keys(organization: OfOrganization, json: JSON = False) -> None:
    """List the keys of an organization, including revoked ones."""
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
    print_table(columns, rows, nothing="There are no publishable keys yet.")


@app.command("revoke")
def revoke_publishable_key(key: KeyId, json: JSON = False) -> None:
    """Revoke a key for good. Conversations that were started with it go on."""

    def work(tx: Connection) -> PublishableKey:
        organization_id = publishable_keys.organization_of(tx, key)
        return publishable_keys.revoke(tx, organization_id, key, actor=ACTOR, now_ms=now_ms())

    revoked = write(work)
    if json:
        print_json(as_json(revoked))
    else:
        say(f"Revoked publishable key {revoked.id}.")


def _normal(origins: list[str]) -> list[str]:
    if len(origins) > ORIGINS_MAX:
        raise CommandError(f"a key may have at most {ORIGINS_MAX} origins")
    try:
        return [publishable_keys.normal_origin(origin) for origin in origins]
    except ValueError as error:
        raise CommandError(f"an origin {error}") from None


def _sites(key: PublishableKey) -> str:
    return " ".join(key.origins)
