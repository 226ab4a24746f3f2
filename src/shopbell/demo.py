"""The demo: an organization with two businesses and a token, made once, for the first message of somebody new."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection

from shopbell import audit, installation, organizations, publishable_keys, tokens
from shopbell.business_values import BusinessChanges
from shopbell.keys import Keys
from shopbell.private_files import write_private
from shopbell.security import token_hash
from shopbell.settings import Settings
from shopbell.storage.database import Database

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
ACTOR = "demo"
MAIL_BATCH_S = 5
"""Who tries it looks for the mail at once."""

_ROUTE = "/api/widget/send-message-to-business"
_FOLDER = Path("data")
_HOSTS = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Demo:
    """What a newcomer needs to send a message. The token is kept so that later starts can show it again.

    ``publishable_key`` is what the demo's shop shows its visitors' browsers.
    """

    organization_id: int
    business_ids: tuple[int, ...]
    token: str = ""
    publishable_key: str = ""

    def as_json(self) -> dict[str, object]:
        """As ``demo.json`` keeps it and programs get it."""
        return {
            "organizationId": str(self.organization_id),
            "businessIds": [str(business_id) for business_id in self.business_ids],
            "token": self.token,
            "publishableKey": self.publishable_key,
        }


class DemoSettings(Settings):
    """The settings of the demo's process."""

    is_demo: ClassVar[bool] = True


def settings_of(settings: Settings) -> DemoSettings:
    """Settings as the demo has them where nothing else was chosen: all ways to a customer are open, mails and texts end
    in a folder, and nobody waits long for them."""
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
    """Where the demo is remembered: beside the SQLite database, else in the working folder's ``data``."""
    return (settings.sqlite_path.parent if settings.is_sqlite else _FOLDER) / "demo.json"


def load(settings: Settings) -> Demo | None:
    """The demo as it is remembered; None when there is none, or what is there cannot be read as one."""
    try:
        kept = json.loads(file(settings).read_bytes())
        return Demo(
            int(kept["organizationId"]),
            tuple(int(each) for each in kept["businessIds"]),
            str(kept["token"]),
            str(kept.get("publishableKey", "")),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def ensure(database: Database, settings: Settings, keys: Keys, *, now_ms: int) -> Demo:
    """Make the demo on the first call; later ones find it, and give it a new token when the one kept does not work.

    Args:
        database: where it is made.
        settings: say where it is remembered.
        keys: the installation's.
        now_ms: the time in Unix ms.

    Returns:
        The demo, with a token that works.

    Raises:
        CommandError: the secret key is not this database's.
        StorageError: the database failed.
    """
    kept = load(settings)
    origins = [f"http://{host}:{settings.port}" for host in _HOSTS]
    demo = database.write_now(_ensure, keys, kept, origins, now_ms)
    if demo != kept:
        write_private(file(settings), json.dumps(demo.as_json(), indent=2).encode() + b"\n")
    return demo


def curl_command(base_url: str, token: str, business_id: int) -> str:
    """The one line that sends the demo's first message.

    Args:
        base_url: where the server is to be reached, without a slash at its end.
        token: an API token, or what stands for one.
        business_id: the business to write to.
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
    installation.adopt(tx, keys)
    if kept is not None and _is_there(tx, kept) and _works(tx, keys, kept, now_ms):
        return _with_key(tx, kept, origins, now_ms)
    there = _find(tx) or _make(tx, now_ms)
    hashing = keys.derive(tokens.KEY_PURPOSE)
    token, secret = tokens.create(tx, hashing, there.organization_id, ACTOR, (), None, now_ms=now_ms)
    audit.record(tx, there.organization_id, ACTOR, "token.create", f"token {token.id}", now_ms=now_ms)
    return _with_key(tx, replace(there, token=secret), origins, now_ms)


def _with_key(tx: Connection, demo: Demo, origins: Sequence[str], now_ms: int) -> Demo:
    found = publishable_keys.find(tx, demo.publishable_key)
    if found is not None and found.organization_id == demo.organization_id:
        return demo
    live = [key for key in publishable_keys.find_all(tx, demo.organization_id) if key.revoked_at_ms is None]
    if live:
        return replace(demo, publishable_key=live[0].key)
    made = publishable_keys.create(tx, demo.organization_id, None, origins, now_ms=now_ms)
    subject = f"publishable key {made.id}"
    audit.record(tx, demo.organization_id, ACTOR, "publishable-key.create", subject, now_ms=now_ms)
    return replace(demo, publishable_key=made.key)


def _is_there(tx: Connection, kept: Demo) -> bool:
    found = (organizations.find_business(tx, kept.organization_id, business_id) for business_id in kept.business_ids)
    return len(kept.business_ids) == len(BUSINESSES) and all(business and business.active for business in found)


def _works(tx: Connection, keys: Keys, kept: Demo, now_ms: int) -> bool:
    token = tokens.find(tx, [token_hash(key, kept.token) for key in keys.derive(tokens.KEY_PURPOSE)])
    return token is not None and token.organization_id == kept.organization_id and token.is_valid(now_ms)


def _find(tx: Connection) -> Demo | None:
    """The demo of this database, when only its file was lost."""
    names = [business["name"] for business in BUSINESSES]
    for organization in organizations.find_all(tx):
        businesses = [each for each in organizations.find_businesses(tx, organization.id) if each.active]
        if organization.name == ORGANIZATION and [each.name for each in businesses] == names:
            return Demo(organization.id, tuple(each.id for each in businesses))
    return None


def _make(tx: Connection, now_ms: int) -> Demo:
    organization_id = organizations.create(tx, ORGANIZATION, now_ms=now_ms).id
    subject = f"organization {organization_id}"
    audit.record(tx, organization_id, ACTOR, audit.ORGANIZATION_CREATED, subject, now_ms=now_ms)
    made = [organizations.create_business(tx, organization_id, each, now_ms=now_ms) for each in BUSINESSES]
    for business in made:
        audit.record(tx, organization_id, ACTOR, "business.create", f"business {business.id}", now_ms=now_ms)
    return Demo(organization_id, tuple(business.id for business in made))
