"""Create the demo: an organization with two businesses, two employees and an API token."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection

from shopbell.accounts import invitations, passwords, roles
from shopbell.accounts.roles import Roles
from shopbell.db import installation
from shopbell.db.database import Database
from shopbell.events.actors import SYSTEM
from shopbell.operations import demo_conversations
from shopbell.operations.demo_conversations import Author
from shopbell.organizations import api_tokens, employees, organizations, publishable_keys
from shopbell.organizations.business_fields import BusinessChanges
from shopbell.security.files import write_private
from shopbell.security.keys import Keys
from shopbell.security.tokens import token_hash
from shopbell.settings.settings import Settings

ORGANIZATION = "Demo"
BUSINESSES: tuple[BusinessChanges, ...] = (
    {
        "name": "Corner Shop",
        "locale": "en",
        "region": "US",
        "time_zone": "America/New_York",
        "email": "corner-shop@example.com",
        "phone": "+15551230001",
    },
    {
        "name": "Boutique du Coin",
        "locale": "fr",
        "region": "FR",
        "time_zone": "Europe/Paris",
        "email": "boutique-du-coin@example.com",
    },
)
EMPLOYEES = (
    ("Alice Miller", "alice@example.com", Roles("owner")),
    ("Ben Carter", "ben@example.com", Roles("member")),
)
ACTOR = "demo"
MAIL_BATCH_S = 5
"""Short, because people who try the demo expect the email soon."""

_ROUTE = "/api/widget/send-message-to-business"
_FOLDER = Path("data")
_HOSTS = ("localhost", "127.0.0.1")
_LINK_MS = 24 * 60 * 60 * 1_000


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's ids and credentials, stored so that later starts can show the token again.

    ``publishable_key`` is for the widget on the demo's shop page. ``invitation`` is the token of the link with which
    the owner sets a password and signs in; empty if it was used.
    """

    organization_id: int
    business_ids: tuple[int, ...]
    token: str = ""
    publishable_key: str = ""
    invitation: str = ""

    def sign_in_link(self, base_url: str) -> str:
        """Return where the owner signs in: by the invitation, or later with the password that they have set.

        Args:
            base_url: URL of the server, without a trailing slash.
        """
        return named_host(base_url) + (f"{invitations.PATH}{self.invitation}" if self.invitation else "/sign-in")

    def as_json(self) -> dict[str, object]:
        """Return the content of ``demo.json`` and of ``--json``."""
        return {
            "organizationId": str(self.organization_id),
            "businessIds": [str(business_id) for business_id in self.business_ids],
            "token": self.token,
            "publishableKey": self.publishable_key,
            "invitation": self.invitation,
        }


def named_host(base_url: str) -> str:
    """Return the URL with ``localhost``: browsers accept no passkeys on IP addresses."""
    return base_url.replace("//127.0.0.1", "//localhost", 1)


class DemoSettings(Settings):
    """The settings of the demo."""

    is_demo: ClassVar[bool] = True


def settings_of(settings: Settings) -> DemoSettings:
    """Add the demo's defaults to settings: all channels are on, emails and text messages go into a folder, soon."""
    folder = file(settings).resolve().parent
    defaults = {
        "sms_provider": "folder",
        "mail_batch_s": MAIL_BATCH_S,
        "mail_outbox": folder / "outbox",
    }
    chosen = settings.model_fields_set
    values = dict(settings) | {name: value for name, value in defaults.items() if name not in chosen}
    return DemoSettings.model_construct(chosen, **values)


def file(settings: Settings) -> Path:
    """Return the path of ``demo.json``: next to the SQLite database, otherwise in ``data``."""
    return (settings.sqlite_path.parent if settings.is_sqlite else _FOLDER) / "demo.json"


def load(settings: Settings) -> Demo | None:
    """Load the stored demo; None if its file is missing or invalid."""
    try:
        kept = json.loads(file(settings).read_bytes())
        return Demo(
            int(kept["organizationId"]),
            tuple(int(each) for each in kept["businessIds"]),
            str(kept["token"]),
            str(kept.get("publishableKey", "")),
            str(kept.get("invitation", "")),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def ensure(database: Database, settings: Settings, keys: Keys, *, now_ms: int) -> Demo:
    """Create the demo, or load it and replace its token if that no longer works.

    Returns:
        The demo, with a valid token.

    Raises:
        CommandError: the secret key does not belong to the database.
        StorageError: the database failed.
    """
    kept = load(settings)
    origins = [f"http://{host}:{settings.port}" for host in _HOSTS]
    demo = database.write_now(_ensure, keys, kept, origins, now_ms)
    if demo != kept:
        write_private(file(settings), json.dumps(demo.as_json(), indent=2).encode() + b"\n")
    return demo


def curl_command(base_url: str, token: str, business_id: int) -> str:
    """Return the shell command that sends the demo's first message.

    Args:
        base_url: URL of the server, without a trailing slash.
        token: an API token or a placeholder.
        business_id: the recipient.
    """
    body = {
        "businessId": str(business_id),
        "message": "Hello, I need help with my order.",
        "user": {"email": "customer@example.com", "locale": "en"},
    }
    arguments = ["curl", "-sS", "-X", "POST", base_url + _ROUTE]
    arguments += ["-H", f"token: {token}", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    return shlex.join(arguments)


def _ensure(tx: Connection, keys: Keys, kept: Demo | None, origins: Sequence[str], now_ms: int) -> Demo:
    installation.adopt_key(tx, keys)
    if kept is not None and _is_there(tx, kept) and _works(tx, keys, kept, now_ms):
        return _with_invitation(tx, keys, _with_key(tx, kept, origins, now_ms), now_ms)
    there = _find(tx) or _make(tx, now_ms)
    hashing = keys.derive(api_tokens.KEY_PURPOSE)
    _, secret = api_tokens.create(tx, hashing, there.organization_id, ACTOR, (), None, actor=ACTOR, now_ms=now_ms)
    return _with_invitation(tx, keys, _with_key(tx, replace(there, token=secret), origins, now_ms), now_ms)


def _hire(tx: Connection, organization_id: int, now_ms: int) -> list[int]:
    """Return the ids of ``EMPLOYEES``; missing ones are created."""
    hired = []
    for name, email, wanted in EMPLOYEES:
        employee = employees.find_by_email(tx, organization_id, email)
        if employee is None:
            employee = employees.create(tx, organization_id, name, email, actor=ACTOR, now_ms=now_ms)
            roles.change(tx, organization_id, employee.id, wanted, by=None, actor=ACTOR, now_ms=now_ms)
        hired.append(employee.id)
    return hired


def _with_invitation(tx: Connection, keys: Keys, demo: Demo, now_ms: int) -> Demo:
    """Add missing employees, and invite the owner until they have set a password."""
    organization_id = demo.organization_id
    owner_id = _hire(tx, organization_id, now_ms)[0]
    if passwords.find(tx, organization_id, owner_id) is not None:
        return replace(demo, invitation="")
    hashing = keys.derive(invitations.KEY_PURPOSE)
    found = invitations.find(tx, hashing, demo.invitation, now_ms=now_ms)
    if found is not None and found.employee_id == owner_id:
        return demo
    token = invitations.create(tx, hashing, organization_id, owner_id, valid_ms=_LINK_MS, actor=ACTOR, now_ms=now_ms)
    return replace(demo, invitation=token)


def _with_key(tx: Connection, demo: Demo, origins: Sequence[str], now_ms: int) -> Demo:
    found = publishable_keys.find(tx, demo.publishable_key)
    if found is not None and found.organization_id == demo.organization_id:
        return demo
    live = [key for key in publishable_keys.find_all(tx, demo.organization_id) if key.revoked_at_ms is None]
    if live:
        return replace(demo, publishable_key=live[0].key)
    made = publishable_keys.create(tx, demo.organization_id, None, origins, actor=ACTOR, now_ms=now_ms)
    return replace(demo, publishable_key=made.key)


def _is_there(tx: Connection, kept: Demo) -> bool:
    found = (organizations.find_business(tx, kept.organization_id, business_id) for business_id in kept.business_ids)
    return len(kept.business_ids) == len(BUSINESSES) and all(business and business.active for business in found)


def _works(tx: Connection, keys: Keys, kept: Demo, now_ms: int) -> bool:
    token = api_tokens.find(tx, [token_hash(key, kept.token) for key in keys.derive(api_tokens.KEY_PURPOSE)])
    return token is not None and token.organization_id == kept.organization_id and token.is_valid(now_ms)


def _find(tx: Connection) -> Demo | None:
    """Find the demo in the database, for when its file was lost."""
    names = [business["name"] for business in BUSINESSES]
    for organization in organizations.find_all(tx):
        businesses = [each for each in organizations.find_businesses(tx, organization.id) if each.active]
        if organization.name == ORGANIZATION and [each.name for each in businesses] == names:
            return Demo(organization.id, tuple(each.id for each in businesses))
    return None


def _make(tx: Connection, now_ms: int) -> Demo:
    organization_id = organizations.create(tx, ORGANIZATION, actor=ACTOR, now_ms=now_ms).id
    made = [
        organizations.create_business(tx, organization_id, each, actor=SYSTEM, now_ms=now_ms) for each in BUSINESSES
    ]
    business_ids = tuple(business.id for business in made)
    alice_id, ben_id = _hire(tx, organization_id, now_ms)
    authors: dict[Author, int] = {"alice": alice_id, "ben": ben_id, "note by ben": ben_id}
    demo_conversations.create(tx, organization_id, business_ids, authors, now_ms=now_ms)
    return Demo(organization_id, business_ids)
