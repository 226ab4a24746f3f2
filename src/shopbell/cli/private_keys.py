"""``shopbell organization private-key``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell import audit, installation, organizations, private_keys
from shopbell.cli.access import secret_keys, write
from shopbell.cli.output import ID_MAX, JSON, now_ms, print_json, say
from shopbell.sealing import Seals

private_key_app = typer.Typer()


@private_key_app.command("private-key")
def show_private_key(
    organization: Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The organization's id.")],
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one is worth nothing at once.")
    ] = False,
    json: JSON = False,
) -> None:
    """Show the key with which an organization's backend vouches for its customers; the first time it is made."""
    secrets, at_ms = secret_keys(), now_ms()
    seals = Seals(secrets, private_keys.SEALING_PURPOSE)

    def work(tx: Connection) -> str:
        installation.adopt(tx, secrets)
        organizations.get(tx, organization)
        if rotate:
            key, is_new = private_keys.rotate(tx, organization, seals, now_ms=at_ms), True
        else:
            key, is_new = private_keys.find_or_make(tx, organization, seals, now_ms=at_ms)
        action = "private-key.rotate" if rotate else "private-key.create" if is_new else "private-key.show"
        subject = f"organization {organization}"
        audit.record(tx, organization, audit.COMMAND_LINE, action, subject, now_ms=at_ms)
        return key

    key = write(work)
    if json:
        print_json({"organizationId": str(organization), "privateKey": key})
        return
    say(key)
    say("Keep it on your own server: whoever has it can speak for every customer.", error=True)
