"""Publishable keys, which websites contain to show the widget. Owns their table.

A key is not secret. It names the organization, the websites that may show the widget, and optionally one business.
Nothing can be read with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import idna
from publicsuffixlist import PublicSuffixList
from sqlalchemy import Connection, Row, insert, select, update

from shopbell.db.ids import take_id
from shopbell.db.schema.customers import publishable_keys
from shopbell.errors import CommandError, NotFound
from shopbell.events import audit
from shopbell.organizations import organizations
from shopbell.security.tokens import new_code

PREFIX = "pk_live_"
ORIGINS_MAX = 20
_RANDOM_DIGITS = 24
_ORIGIN_MAX_CHARACTERS = 300
_FORM = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_DIGITS}}}")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ANY = "*."
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|\[[0-9a-f:.]+\]")
_BELOW = re.compile(r"[a-z0-9.-]+")
_NO_ORIGIN = "must be an origin such as https://shop.example or https://*.shop.example, without a path"
_SHARED = (
    "must not be all subdomains of a public suffix such as co.uk or github.io, where anyone may have a site; "
    "name your own sites"
)


@dataclass(frozen=True, slots=True)
class PublishableKey:
    """A key and where it is valid. Times are Unix ms.

    Args:
        key: the key in the website's page.
        business_id: the only business that it is for; None for all of the organization.
        origins: the sites that may use it, in normal form; ``https://*.shop.example`` means all subdomains.
    """

    organization_id: int
    id: int
    key: str
    business_id: int | None
    origins: tuple[str, ...]
    created_at_ms: int
    revoked_at_ms: int | None

    def allows(self, origin: str) -> bool:
        """Whether a site may use it.

        Args:
            origin: as browsers send it.
        """
        return any(_fits(allowed, origin) for allowed in self.origins)


def normal_origin(text: str) -> str:
    """The origin of a site as browsers write it: lower case, the domain in ASCII, without a default port.

    Args:
        text: as entered; ``*.`` before a domain allows its subdomains. The domain must not be a public suffix.

    Raises:
        ValueError: it is not an origin; the message is the end of a sentence.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(_NO_ORIGIN) from None
    if len(text) > _ORIGIN_MAX_CHARACTERS or parts.scheme not in _DEFAULT_PORTS or parts.path not in ("", "/"):
        raise ValueError(_NO_ORIGIN)
    if parts.query or parts.fragment or "@" in parts.netloc or not parts.hostname:
        raise ValueError(_NO_ORIGIN)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    any_below = name.startswith(_ANY)
    host = _ascii(name.removeprefix(_ANY))
    if not _HOST.fullmatch(host) or (any_below and "." not in host):
        raise ValueError(_NO_ORIGIN)
    if any_below and _public_suffixes().is_public(host):
        raise ValueError(_SHARED)
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{_ANY if any_below else ''}{host}{shown_port}"


def create(
    tx: Connection, organization_id: int, business_id: int | None, origins: Sequence[str], *, actor: str, now_ms: int
) -> PublishableKey:
    """Create a key.

    Args:
        organization_id: the organization of the widget.
        business_id: the only business that it is for; None for all of the organization.
        origins: 1 to 20 in normal form.
        actor: who creates it, as the audit log names them.

    Raises:
        NotFound: 404; the organization has no such business, or it is deactivated.
    """
    if business_id is not None and not organizations.get_business(tx, organization_id, business_id).active:
        raise NotFound("businessId")
    made = PublishableKey(
        organization_id=organization_id,
        id=take_id(tx),
        key=PREFIX + new_code(_RANDOM_DIGITS),
        business_id=business_id,
        origins=tuple(dict.fromkeys(origins)),
        created_at_ms=now_ms,
        revoked_at_ms=None,
    )
    row = {column.name: getattr(made, column.name) for column in publishable_keys.c}
    tx.execute(insert(publishable_keys).values(row | {"origins": " ".join(made.origins)}))
    _audit(tx, made, "create", actor=actor, now_ms=now_ms)
    return made


def find(tx: Connection, key: str) -> PublishableKey | None:
    """The valid key with this text, of any organization: the key determines the organization."""
    if not _FORM.fullmatch(key):
        return None
    c = publishable_keys.c
    row = tx.execute(select(publishable_keys).where(c.key == key, c.revoked_at_ms.is_(None))).first()
    if row is not None and _ANY in row.origins:
        _public_suffixes()  # in this thread: reading the list would block the event loop, which calls `allows`
    return None if row is None else _key(row)


def find_all(tx: Connection, organization_id: int) -> list[PublishableKey]:
    """All keys of an organization, the oldest first."""
    c = publishable_keys.c
    query = select(publishable_keys).where(c.organization_id == organization_id).order_by(c.id)
    return [_key(row) for row in tx.execute(query)]


def get(tx: Connection, organization_id: int, key_id: int) -> PublishableKey:
    """The organization's key with an id.

    Raises:
        NotFound: 404.
    """
    c = publishable_keys.c
    row = tx.execute(select(publishable_keys).where(c.organization_id == organization_id, c.id == key_id)).first()
    if row is None:
        raise NotFound("publishableKeyId")
    return _key(row)


def organization_of(tx: Connection, key_id: int) -> int:
    """The organization of a key, for operators, who name a key by its id alone.

    Raises:
        CommandError: there is no such key.
    """
    found: int | None = tx.scalar(select(publishable_keys.c.organization_id).where(publishable_keys.c.id == key_id))
    if found is None:
        raise CommandError(f"there is no publishable key {key_id}; `shopbell publishable-key list` shows them")
    return found


def revoke(tx: Connection, organization_id: int, key_id: int, *, actor: str, now_ms: int) -> PublishableKey:
    """Revoke a key for good; a key that is revoked already stays as it is. Sessions that began with it go on.

    Raises:
        NotFound: 404.
    """
    key = get(tx, organization_id, key_id)
    c = publishable_keys.c
    valid = (c.organization_id == organization_id, c.id == key_id, c.revoked_at_ms.is_(None))
    if tx.execute(update(publishable_keys).where(*valid).values(revoked_at_ms=now_ms)).rowcount:
        _audit(tx, key, "revoke", actor=actor, now_ms=now_ms)
    return get(tx, organization_id, key_id)


def _audit(tx: Connection, key: PublishableKey, verb: str, *, actor: str, now_ms: int) -> None:
    subject = f"publishable key {key.id}"
    audit.record(tx, key.organization_id, actor, f"publishable-key.{verb}", subject, now_ms=now_ms)


def _fits(allowed: str, origin: str) -> bool:
    scheme, star, domain = allowed.partition(_ANY)
    if not star:
        return allowed == origin
    end = f".{domain}"
    below = origin.removeprefix(scheme).removesuffix(end)
    if not (origin.startswith(scheme) and origin.endswith(end) and _BELOW.fullmatch(below)):
        return False
    # Some subdomains are public suffixes although the domain, such as amazonaws.com, is not. Others own their sites.
    allowed_host = domain.partition(":")[0]
    owner = _public_suffixes().privatesuffix(f"{below}.{allowed_host}")
    return owner is not None and len(owner) <= len(allowed_host)


@cache
def _public_suffixes() -> PublicSuffixList:
    """The list of the installed package; nothing is downloaded. Reading it takes 0.1 s."""
    return PublicSuffixList()


def _ascii(host: str) -> str:
    if host.isascii():
        return host.lower()
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ValueError(_NO_ORIGIN) from None


def _key(row: Row[Any]) -> PublishableKey:
    columns = {column.name: getattr(row, column.name) for column in publishable_keys.c}
    return PublishableKey(**columns | {"origins": tuple(row.origins.split())})
