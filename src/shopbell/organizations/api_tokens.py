"""API tokens: create, find, list, rotate and revoke them. Owns their table, which holds keyed hashes only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import category

from sqlalchemy import Connection, Row, insert, or_, select, update

from shopbell.db.ids import take_id
from shopbell.db.schema.core import api_tokens
from shopbell.errors import CommandError
from shopbell.events import audit
from shopbell.security.tokens import new_token, token_hash

KEY_PURPOSE = "api token"
"""For ``Keys.derive``: the keys with which tokens are hashed."""

SCOPES: Mapping[str, str] = {
    "widget:send": "Send a customer's message to a business, opening its conversation.",
    "threads:read": "Read conversations, their messages and their status.",
    "threads:write": "Write messages to customers and change the status of conversations.",
    "customers:read": "Read customers' profiles.",
    "customers:write": "Change customers' profiles.",
    "inbox:manage": "Change tags, saved replies, and the shared views of other employees.",
    "webhooks:manage": "List, create, change and delete webhooks.",
    "organization:manage": "Change the organization, its businesses and its tokens.",
    "employees:manage": "Invite employees, and change what they may do.",
    "audit:read": "Read the audit log.",
}
"""Every scope, with one sentence about what it allows."""

NAME_MAX_CHARACTERS = 200
_HINT_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as it is stored: everything but the secret. Times are Unix ms."""

    organization_id: int
    id: int
    name: str
    hint: str
    scopes: frozenset[str]
    created_at_ms: int
    last_used_at_ms: int | None
    expires_at_ms: int | None
    revoked_at_ms: int | None
    token_hash: str = field(repr=False)

    def is_valid(self, now_ms: int) -> bool:
        """Whether the token is valid at a time (Unix ms)."""
        return self.revoked_at_ms is None and (self.expires_at_ms is None or now_ms < self.expires_at_ms)


def create(
    tx: Connection,
    keys: Sequence[bytes],
    organization_id: int,
    name: str,
    scopes: Collection[str],
    expires_at_ms: int | None,
    *,
    actor: str,
    now_ms: int,
) -> tuple[Token, str]:
    """Create a token of an organization.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        organization_id: an organization that exists.
        name: its name; when empty, ``token`` and its id.
        scopes: what it may do; empty means everything.
        expires_at_ms: when it expires, in Unix ms; None for never.
        actor: who creates it, as the audit log names them.

    Returns:
        The stored token, and the secret, which is shown once and stored nowhere.

    Raises:
        CommandError: the name is too long, a scope is unknown or the expiry is in the past.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise CommandError(f"there is no scope {unknown[0]!r}; the scopes are {', '.join(SCOPES)}")
    if len(name) > NAME_MAX_CHARACTERS or any(category(character) in ("Cc", "Cs") for character in name):
        raise CommandError(f"a name must have at most {NAME_MAX_CHARACTERS} characters and no control characters")
    if expires_at_ms is not None and expires_at_ms <= now_ms:
        raise CommandError("the expiry time of the token is in the past")
    secret = new_token()
    token_id = take_id(tx)
    token = Token(
        organization_id=organization_id,
        id=token_id,
        name=name.strip() or f"token {token_id}",
        hint=secret[-_HINT_CHARACTERS:],
        scopes=frozenset(scopes or SCOPES),
        created_at_ms=now_ms,
        last_used_at_ms=None,
        expires_at_ms=expires_at_ms,
        revoked_at_ms=None,
        token_hash=token_hash(keys[0], secret),
    )
    tx.execute(
        insert(api_tokens).values(
            organization_id=token.organization_id,
            id=token.id,
            name=token.name,
            token_hash=token.token_hash,
            hint=token.hint,
            scopes=" ".join(sorted(token.scopes)),
            created_at_ms=token.created_at_ms,
            expires_at_ms=token.expires_at_ms,
        )
    )
    _audit(tx, token, "create", actor=actor, now_ms=now_ms)
    return token, secret


def find(tx: Connection, hashes: Sequence[str]) -> Token | None:
    """Find the token that has one of these hashes, valid or not.

    Args:
        hashes: the keyed hash under each secret key, the current one first.

    Returns:
        The token, or None. Its ``token_hash`` shows with which key it was hashed.
    """
    # The only look-up without an organization: the token determines the organization.
    row = tx.execute(select(api_tokens).where(api_tokens.c.token_hash.in_(hashes))).first()
    return None if row is None else _token(row)


def get(tx: Connection, token_id: int) -> Token:
    """The token with an id, of any organization: for operators.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(api_tokens).where(api_tokens.c.id == token_id)).first()
    if row is None:
        raise CommandError(f"there is no token {token_id}; `shopbell token list` shows them")
    return _token(row)


def find_all(tx: Connection, organization_id: int | None = None) -> list[Token]:
    """All tokens, or those of one organization, the oldest first."""
    query = select(api_tokens).order_by(api_tokens.c.id)
    if organization_id is not None:
        query = query.where(api_tokens.c.organization_id == organization_id)
    return [_token(row) for row in tx.execute(query)]


def rekey(tx: Connection, token: Token, new_hash: str) -> None:
    """Store the hash of a token, made with the current secret key."""
    tx.execute(_one(token).values(token_hash=new_hash))


def revoke(tx: Connection, token_id: int, *, actor: str, now_ms: int) -> Token:
    """Revoke a token for good; a token that is revoked already stays as it is.

    Raises:
        CommandError: there is no such token.
    """
    token = get(tx, token_id)
    if token.revoked_at_ms is not None:
        return token
    tx.execute(_one(token).values(revoked_at_ms=now_ms))
    _audit(tx, token, "revoke", actor=actor, now_ms=now_ms)
    return replace(token, revoked_at_ms=now_ms)


def is_revoked(tx: Connection, organization_id: int, token_id: int) -> bool:
    """Whether a token of an organization was revoked."""
    c = api_tokens.c
    query = select(c.revoked_at_ms).where(c.organization_id == organization_id, c.id == token_id)
    return tx.scalar(query) is not None


def rotate(
    tx: Connection, keys: Sequence[bytes], token_id: int, *, overlap_ms: int, actor: str, now_ms: int
) -> tuple[Token, Token, str]:
    """Replace a token by a new one with the same name, scopes and expiry.

    At most two valid tokens of an organization have the same name: the old one and the new one.

    Args:
        keys: the keys derived for ``KEY_PURPOSE``, the current one first.
        token_id: the token to replace.
        overlap_ms: how long the old one stays valid, in ms, at least 0.
        actor: who rotates it, as the audit log names them.

    Returns:
        The old token, the new one, and the new secret.

    Raises:
        CommandError: there is no such token, it is no longer valid, or it is being rotated already.
    """
    # Locked, so that the second of two concurrent rotations sees what the first one did.
    tx.execute(select(api_tokens.c.id).where(api_tokens.c.id == token_id).with_for_update())
    old = get(tx, token_id)
    if not old.is_valid(now_ms):
        raise CommandError(f"token {token_id} is no longer valid; create a new one with `shopbell token create`")
    for other in find_all(tx, old.organization_id):
        if other.name == old.name and other.id != old.id and other.is_valid(now_ms):
            raise CommandError(
                f"tokens {old.id} and {other.id} have the same name and are both valid; revoke one of them first"
            )
    _audit(tx, old, "rotate", actor=actor, now_ms=now_ms)
    new, secret = create(
        tx, keys, old.organization_id, old.name, old.scopes, old.expires_at_ms, actor=actor, now_ms=now_ms
    )
    end_ms = now_ms + overlap_ms
    if old.expires_at_ms is None or end_ms < old.expires_at_ms:
        tx.execute(_one(old).values(expires_at_ms=end_ms))
    return get(tx, old.id), new, secret


def note_use(tx: Connection, last_used_at_ms: Mapping[tuple[int, int], int]) -> None:
    """Store when tokens were last used. This happens every now and then, so the time may lag behind.

    Args:
        last_used_at_ms: by organization id and token id, in Unix ms.
    """
    c = api_tokens.c
    # In ascending order, so that two processes never wait for each other.
    for (organization_id, token_id), at_ms in sorted(last_used_at_ms.items()):
        of_token = (c.organization_id == organization_id, c.id == token_id)
        later = or_(c.last_used_at_ms.is_(None), c.last_used_at_ms < at_ms)
        tx.execute(update(api_tokens).where(*of_token, later).values(last_used_at_ms=at_ms))


def _audit(tx: Connection, token: Token, verb: str, *, actor: str, now_ms: int) -> None:
    audit.record(tx, token.organization_id, actor, f"token.{verb}", f"token {token.id}", now_ms=now_ms)


def _one(token: Token) -> Any:
    return update(api_tokens).where(api_tokens.c.organization_id == token.organization_id, api_tokens.c.id == token.id)


def _token(row: Row[Any]) -> Token:
    return Token(
        organization_id=row.organization_id,
        id=row.id,
        name=row.name,
        hint=row.hint,
        scopes=frozenset(row.scopes.split()),
        created_at_ms=row.created_at_ms,
        last_used_at_ms=row.last_used_at_ms,
        expires_at_ms=row.expires_at_ms,
        revoked_at_ms=row.revoked_at_ms,
        token_hash=row.token_hash,
    )
