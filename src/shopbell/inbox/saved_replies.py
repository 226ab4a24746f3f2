"""Saved replies: texts that employees often send. Owns their tables.

Clients replace the variables, because only they know the conversation for which a text is used.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.db.businesses import Businesses, is_among
from shopbell.db.ids import take_id
from shopbell.db.schema.inbox_tools import saved_replies, saved_reply_attachments
from shopbell.errors import Conflict, NotFound
from shopbell.events import audit
from shopbell.inbox import files
from shopbell.organizations import organizations

SAVED_REPLIES_MAX = 2_000
"""The maximum number of saved replies of an organization."""

SHORTCUT_MAX_CHARACTERS = 32
VARIABLES = ("first_name", "last_name", "business", "employee")
"""What a text may contain in double braces: names of the customer, of the business and of the employee who sends it."""

_KNOWN = re.compile(r"\{\{(?:" + "|".join(VARIABLES) + r")\}\}")
_C = saved_replies.c


@dataclass(frozen=True, slots=True)
class SavedReply:
    """A saved reply.

    Args:
        business_id: the only business that uses it; None for all.
        shortcut: what employees type to insert it.
        title: its name for employees.
        body: the text, with variables.
        attachment_ids: its files, in order.
    """

    organization_id: int
    id: int
    business_id: int | None
    shortcut: str
    title: str
    body: str
    created_at_ms: int
    updated_at_ms: int
    attachment_ids: tuple[int, ...]


class ShortcutTaken(Conflict):
    """409: another saved reply of the business, or for all, has the shortcut."""

    def __init__(self) -> None:
        super().__init__("Another saved reply has that shortcut.")


def check_shortcut(text: str) -> str:
    """Return a shortcut in its stored form: lower case, NFC.

    Raises:
        ValueError: it is not valid; the message is the end of a sentence.
    """
    shortcut = unicodedata.normalize("NFC", text.lower())
    if not shortcut or len(shortcut) > SHORTCUT_MAX_CHARACTERS:
        raise ValueError(f"must have 1 to {SHORTCUT_MAX_CHARACTERS} characters")
    # Some scripts write vowels as marks.
    if not all(each in "-_" or unicodedata.category(each)[0] in "LMN" for each in shortcut):
        raise ValueError("must consist of letters, digits, - and _")
    return shortcut


def has_unknown_variables(body: str) -> bool:
    """Whether a text contains double braces other than those of known variables.

    They would reach the customer.
    """
    rest = _KNOWN.sub("", body)
    return "{{" in rest or "}}" in rest


def create(tx: Connection, organization_id: int, fields: Mapping[str, Any], *, actor: str, now_ms: int) -> SavedReply:
    """Create a saved reply.

    Args:
        fields: ``shortcut``, ``title``, ``body``; perhaps ``business_id`` and ``attachment_ids``.
        actor: who creates it, as the audit log names them.

    Raises:
        NotFound: 404; there is no such business or file.
        Conflict: 409; the shortcut is taken, or the organization has ``SAVED_REPLIES_MAX`` of them.
    """
    count = tx.execute(select(func.count()).where(_C.organization_id == organization_id)).scalar_one()
    if count >= SAVED_REPLIES_MAX:
        raise Conflict(f"An organization can have at most {SAVED_REPLIES_MAX} saved replies. Delete one first.")
    columns, attachment_ids = _checked(tx, organization_id, fields)
    id_ = take_id(tx)
    times = {"created_at_ms": now_ms, "updated_at_ms": now_ms}
    try:
        tx.execute(insert(saved_replies).values(columns | times | {"organization_id": organization_id, "id": id_}))
    except IntegrityError:
        raise ShortcutTaken from None
    files.replace(tx, saved_reply_attachments, organization_id, id_, attachment_ids or ())
    _audit(tx, organization_id, id_, "create", actor=actor, now_ms=now_ms)
    return find(tx, organization_id, id_)


def change(
    tx: Connection,
    organization_id: int,
    saved_reply_id: int,
    changes: Mapping[str, Any],
    *,
    actor: str,
    now_ms: int,
) -> None:
    """Change fields of a saved reply.

    Args:
        changes: as ``fields`` of ``create``; ``business_id`` may be None.
        actor: who changes it, as the audit log names them.

    Raises:
        NotFound: 404; there is no such saved reply, business or file.
        ShortcutTaken: 409.
    """
    _lock(tx, organization_id, saved_reply_id)
    present = find(tx, organization_id, saved_reply_id)
    changed = {name: value for name, value in changes.items() if getattr(present, name) != value}
    if not changed:
        return
    columns, attachment_ids = _checked(tx, organization_id, changed)
    this = (_C.organization_id == organization_id) & (_C.id == saved_reply_id)
    try:
        tx.execute(update(saved_replies).where(this).values(columns | {"updated_at_ms": now_ms}))
    except IntegrityError:
        raise ShortcutTaken from None
    if attachment_ids is not None:
        files.replace(tx, saved_reply_attachments, organization_id, saved_reply_id, attachment_ids)
    _audit(tx, organization_id, saved_reply_id, "update", actor=actor, now_ms=now_ms)


def remove(tx: Connection, organization_id: int, saved_reply_id: int, *, actor: str, now_ms: int) -> None:
    """Delete a saved reply; messages that were made from it stay.

    Raises:
        NotFound: 404.
    """
    _lock(tx, organization_id, saved_reply_id)
    files.remove(tx, saved_reply_attachments, organization_id, [saved_reply_id])
    tx.execute(delete(saved_replies).where(_C.organization_id == organization_id, _C.id == saved_reply_id))
    _audit(tx, organization_id, saved_reply_id, "delete", actor=actor, now_ms=now_ms)


def find(tx: Connection, organization_id: int, saved_reply_id: int) -> SavedReply:
    """A saved reply of the organization.

    Raises:
        NotFound: 404.
    """
    found = _read(tx, organization_id, _C.id == saved_reply_id)
    if not found:
        raise NotFound("savedReplyId")
    return found[0]


def find_page(
    tx: Connection,
    organization_id: int,
    *,
    business_id: int | None = None,
    businesses: Businesses = None,
    after_id: int = 0,
    limit: int,
) -> list[SavedReply]:
    """Saved replies of an organization, the oldest first.

    Args:
        business_id: only those that this business uses: its own, and those for all businesses.
        businesses: only those that one of these uses.
        after_id: only those with a greater id.
        limit: how many at most.

    Raises:
        NotFound: 404; there is no such business.
    """
    if business_id is not None:
        organizations.get_business(tx, organization_id, business_id)
        businesses = frozenset((business_id,))
    is_used = _C.business_id.is_(None) | is_among(_C.business_id, businesses)
    return _read(tx, organization_id, _C.id > after_id, is_used, limit=limit)


def _read(
    tx: Connection, organization_id: int, *which: ColumnElement[bool], limit: int | None = None
) -> list[SavedReply]:
    query = select(saved_replies).where(_C.organization_id == organization_id, *which).order_by(_C.id).limit(limit)
    rows = tx.execute(query).mappings().all()
    files_of = files.of(tx, saved_reply_attachments, organization_id, [row["id"] for row in rows])
    return [SavedReply(**row, attachment_ids=files_of[row["id"]]) for row in rows]


def _checked(
    tx: Connection, organization_id: int, fields: Mapping[str, Any]
) -> tuple[dict[str, Any], Sequence[int] | None]:
    """Return the columns and the files, which belong to the organization."""
    columns = dict(fields)
    attachment_ids: Sequence[int] | None = columns.pop("attachment_ids", None)
    if columns.get("business_id") is not None:
        business = organizations.find_business(tx, organization_id, columns["business_id"])
        if business is None or not business.active:
            raise NotFound("businessId")
    files.check(tx, organization_id, attachment_ids or ())
    return columns, attachment_ids


def _lock(tx: Connection, organization_id: int, saved_reply_id: int) -> None:
    query = select(_C.id).where(_C.organization_id == organization_id, _C.id == saved_reply_id)
    if tx.execute(query.with_for_update()).first() is None:
        raise NotFound("savedReplyId")


def _audit(tx: Connection, organization_id: int, saved_reply_id: int, verb: str, *, actor: str, now_ms: int) -> None:
    audit.record(tx, organization_id, actor, f"saved-reply.{verb}", f"saved reply {saved_reply_id}", now_ms=now_ms)
