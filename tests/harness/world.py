"""Alice works for Acme, Bob for Globex; Carol and Dave are Acme's customers.

Run as a program it makes that world in the database that the environment names, command by command, in one process: a
process for each would take ten times as long.
"""

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.installation import Database
from shopbell.organizations.api_tokens import SCOPES

GLOBEX_CANARY = "globexcanary"
"""Stands in everything that Globex owns, and so may stand in nothing that Acme reads."""


SPARE_TOKENS = 24


@dataclass(frozen=True)
class World:
    """The ids and tokens of a small installation, all as strings."""

    acme: str
    boston: str  # a business with default region US
    paris: str  # with default region FR
    nowhere: str  # without a default region
    closed: str  # deactivated
    token: str
    token_id: str
    second_token: str
    revoked_token: str
    expired_token: str
    reading_token: str  # without the scope of the widget route
    globex: str
    london: str  # Globex's business, with default region GB
    globex_token: str
    scoped: dict[str, str]  # tokens of Acme that may do one thing each, by their scope
    spare: list[dict[str, str]]  # tokens of Acme, id and token: one for each test that revokes or exhausts it

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "World":
        """Read it from a file."""
        return cls(**json.loads(path.read_text()))


def build(cli: Callable[..., Any], database: Database) -> World:
    """Create the world with the command line, except for a token that has expired."""

    def create(what: str, *arguments: str) -> dict[str, str]:
        made = cli(what, "create", *arguments)
        return {"id": str(made["id"]), "token": str(made.get("token", ""))}

    acme = create("organization", "Acme")["id"]
    boston = create("business", "--organization", acme, "Acme Boston", "--region", "US", "--locale", "en-US")["id"]
    paris = create("business", "--organization", acme, "Acme Paris", "--region", "FR", "--locale", "fr-FR")["id"]
    nowhere = create("business", "--organization", acme, "Acme Online")["id"]
    closed = create("business", "--organization", acme, "Acme Closed", "--region", "US")["id"]
    cli("business", "deactivate", closed)
    token = create("token", "--organization", acme, "--name", "website")
    second = create("token", "--organization", acme, "--name", "website, next")
    revoked = create("token", "--organization", acme)
    cli("token", "revoke", revoked["id"])
    expired = create("token", "--organization", acme, "--expires", "2100-01-01T00:00:00Z")
    assert database.change("UPDATE api_tokens SET expires_at_ms = 1 WHERE id = :id", id=int(expired["id"]))
    reading = create("token", "--organization", acme, "--scope", "threads:read")
    globex = create("organization", f"Globex {GLOBEX_CANARY}")["id"]
    london = create("business", "--organization", globex, f"London {GLOBEX_CANARY}", "--region", "GB")["id"]
    globex_token = create("token", "--organization", globex, "--name", GLOBEX_CANARY)
    scoped = {scope: create("token", "--organization", acme, "--scope", scope)["token"] for scope in SCOPES}
    return World(
        acme=acme,
        boston=boston,
        paris=paris,
        nowhere=nowhere,
        closed=closed,
        token=token["token"],
        token_id=token["id"],
        second_token=second["token"],
        revoked_token=revoked["token"],
        expired_token=expired["token"],
        reading_token=reading["token"],
        globex=globex,
        london=london,
        globex_token=globex_token["token"],
        scoped=scoped,
        spare=[create("token", "--organization", acme, "--name", f"spare {number}") for number in range(SPARE_TOKENS)],
    )


def _cli(*arguments: str) -> Any:
    """Run a command in this process and return what it printed as JSON."""
    from shopbell.cli import main

    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.argv = ["shopbell", *arguments, "--json"]
    with redirect_stdout(printed):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise RuntimeError(f"shopbell {arguments} ended with {end.code}") from None
    printed.seek(0)
    return json.load(printed)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    _cli("migrate")
    build(_cli, Database(os.environ["SHOPBELL_DATABASE_URL"])).save(target)
