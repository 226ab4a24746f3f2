"""Who is in the tests: Alice works for Acme, Bob for Globex; Carol and Dave are Acme's customers."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.installation import Installation

GLOBEX_CANARY = "globexcanary"
"""Stands in everything that Globex owns, and so may stand in nothing that Acme reads."""


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

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "World":
        """Read it from a file."""
        return cls(**json.loads(path.read_text()))


def build(installation: Installation) -> World:
    """Make the world by the command line alone, but for the past: nobody can make a token that has expired."""

    def create(what: str, *arguments: str) -> dict[str, str]:
        made = installation.cli(what, "create", *arguments)
        return {"id": str(made["id"]), "token": str(made.get("token", ""))}

    acme = create("organization", "Acme")["id"]
    boston = create("business", "--organization", acme, "Acme Boston", "--region", "US", "--locale", "en-US")["id"]
    paris = create("business", "--organization", acme, "Acme Paris", "--region", "FR", "--locale", "fr-FR")["id"]
    nowhere = create("business", "--organization", acme, "Acme Online")["id"]
    closed = create("business", "--organization", acme, "Acme Closed", "--region", "US")["id"]
    installation.cli("business", "deactivate", closed)
    token = create("token", "--organization", acme, "--name", "website")
    second = create("token", "--organization", acme, "--name", "website, next")
    revoked = create("token", "--organization", acme)
    installation.cli("token", "revoke", revoked["id"])
    expired = create("token", "--organization", acme, "--expires", "2100-01-01T00:00:00Z")
    assert installation.database.change("UPDATE api_tokens SET expires_at_ms = 1 WHERE id = :id", id=int(expired["id"]))
    reading = create("token", "--organization", acme, "--scope", "threads:read")
    globex = create("organization", f"Globex {GLOBEX_CANARY}")["id"]
    london = create("business", "--organization", globex, f"London {GLOBEX_CANARY}", "--region", "GB")["id"]
    globex_token = create("token", "--organization", globex, "--name", GLOBEX_CANARY)
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
    )
