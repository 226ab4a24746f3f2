"""Templates: texts that WhatsApp accepts at any time. Owns their table."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shopbell.conversations import message_text
from shopbell.db.ids import take_id
from shopbell.db.schema.core import templates
from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.events import audit
from shopbell.formats import names

_SID_MAX_CHARACTERS = 64


def _content_sid(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text) or len(text) > _SID_MAX_CHARACTERS:
        raise ValueError(f"must consist of 1 to {_SID_MAX_CHARACTERS} letters, digits, - and _")
    return text


RULES: Mapping[str, Callable[[str], str]] = {
    "title": names.line,
    "text": message_text.check,
    "content_sid": _content_sid,
}
"""The rules of the fields of a template."""


@dataclass(frozen=True, slots=True)
class Template:
    """A prepared text. Times are Unix ms."""

    organization_id: int
    id: int
    title: str
    text: str
    content_sid: str
    created_at_ms: int


class ContentSidTaken(Conflict):
    """The organization has a template with that content id already."""

    def __init__(self) -> None:
        super().__init__("Another template of the organization has that contentSid.")


def create(
    tx: Connection, organization_id: int, title: str, text: str, content_sid: str | None, *, actor: str, now_ms: int
) -> Template:
    """Create a template of an organization.

    Args:
        tx: the transaction.
        organization_id: the organization.
        title: the name that employees see, 1 to 200 characters.
        text: what customers read, 1 to 10,000 characters.
        content_sid: the provider's id, 1 to 64 characters; None generates one.
        actor: who creates it, as the audit log names them.
        now_ms: the time in Unix ms.

    Raises:
        ContentSidTaken: there is one with this content id.
    """
    sid = content_sid or f"HX{secrets.token_hex(16)}"
    template = Template(organization_id, take_id(tx), title, text, sid, now_ms)
    try:
        tx.execute(
            insert(templates).values(
                organization_id=organization_id,
                id=template.id,
                title=title,
                text=text,
                content_sid=sid,
                created_at_ms=now_ms,
            )
        )
    except IntegrityError:
        raise ContentSidTaken from None
    audit.record(tx, organization_id, actor, "template.create", f"template {template.id}", now_ms=now_ms)
    return template


def get(tx: Connection, organization_id: int, content_sid: str) -> Template:
    """Find the organization's template with this content id.

    Raises:
        NotFound: there is none.
    """
    c = templates.c
    query = select(templates).where(c.organization_id == organization_id, c.content_sid == content_sid)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound("contentSid")
    return Template(**row)


def get_by_id(tx: Connection, template_id: int) -> Template:
    """Find a template by id, in all organizations.

    Raises:
        CommandError: there is none.
    """
    row = tx.execute(select(templates).where(templates.c.id == template_id)).mappings().first()
    if row is None:
        raise CommandError(f"there is no template {template_id}; `shopbell template list` shows them")
    return Template(**row)


def find_all(
    tx: Connection, organization_id: int | None = None, *, after_id: int = 0, limit: int | None = None
) -> list[Template]:
    """List templates, oldest first.

    Args:
        tx: the transaction.
        organization_id: only of this organization.
        after_id: only those with a greater id.
        limit: most templates; None for all.
    """
    c = templates.c
    query = select(templates).where(c.id > after_id).order_by(c.id).limit(limit)
    if organization_id is not None:
        query = query.where(c.organization_id == organization_id)
    return [Template(**row) for row in tx.execute(query).mappings()]


def remove(tx: Connection, organization_id: int, template_id: int, *, actor: str, now_ms: int) -> None:
    """Delete a template; messages that were made from it stay.

    Raises:
        NotFound: there is none.
    """
    c = templates.c
    gone = delete(templates).where(c.organization_id == organization_id, c.id == template_id)
    if tx.execute(gone).rowcount == 0:
        raise NotFound("templateId")
    audit.record(tx, organization_id, actor, "template.delete", f"template {template_id}", now_ms=now_ms)
