"""``shopbell organization private-key``."""

from typing import Annotated

import typer
from sqlalchemy import Connection

from shopbell.cli.access import ACTOR, secret_keys, write
from shopbell.cli.output import JSON, object_id, print_json, say
from shopbell.organizations import identity_secrets, organizations
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher

app = typer.Typer()


@app.command("private-key")
def show_private_key(
    organization: Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The organization's id.")],
    rotate: Annotated[bool, typer.Option("--rotate", help="Create a new key. The old key is invalid at once.")] = False,
    json: JSON = False,
) -> None:
    """Show the private key of an organization.

    The organization's backend signs customers' identities with it. The first call creates the key.
    """
    secrets = secret_keys()
    cipher = Cipher(secrets, identity_secrets.SEALING_PURPOSE)

    def work(tx: Connection) -> str:
        organizations.get(tx, organization)
        action = identity_secrets.rotate if rotate else identity_secrets.show
        return action(tx, organization, cipher, actor=ACTOR, now_ms=now_ms())

    key = write(work, keys=secrets)
    if json:
        print_json({"organizationId": str(organization), "privateKey": key})
        return
    say(key)
    say("Keep it on your own server: with it, anyone can act as any customer.", error=True)
