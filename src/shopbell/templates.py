"""Templates: texts that channels allow outside of their windows. Owns their table."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from shopbell.errors import CommandError, Conflict, NotFound
from shopbell.storage.ids import take_id
from shopbell.storage.schema import templates


@dataclass(frozen=True, slots=True)
class Template:
    """A text that was written beforehand. Times are Unix ms."""

    organization_id: int
    id: int
    title: str
    text: str
    content_sid: str
    created_at_ms: int


class ContentSidTaken(Conflict):
    """409: a template of the organization has that content id."""

    def __init__(self) -> None:
        super().__init__("Another template of the organization has that contentSid.")


def create(
    tx: Connection, organization_id: int, title: str, text: str, content_sid: str | None, *, now_ms: int
) -> Template:
    """Make a template of an organization.

    Args:
        tx: the transaction.
        organization_id: the organization.
        title: what employees choose it by, 1 to 200 characters.
        text: what customers read, 1 to 10,000 characters.
        content_sid: what the channel's provider calls it, 1 to 64 characters; one is made unless given.
        now_ms: the time in Unix ms.

    Raises:
        ContentSidTaken: 409.
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
    return template


def get(tx: Connection, organization_id: int, content_sid: str) -> Template:
    """The organization's template with this content id.

    Raises:
        NotFound: 404.
    """
    c = templates.c
    query = select(templates).where(c.organization_id == organization_id, c.content_sid == content_sid)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound("contentSid")
    return Template(**row)


def get_by_id(tx: Connection, template_id: int) -> Template:
    """The template with an id, of whichever organization.

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
    """Templates, the oldest first.

    Args:
        tx: the transaction.
        organization_id: only of this organization.
        after_id: only those with a greater id.
        limit: how many at most; None for all.
    """
    c = templates.c
    query = select(templates).where(c.id > after_id).order_by(c.id).limit(limit)
    if organization_id is not None:
        query = query.where(c.organization_id == organization_id)
    return [Template(**row) for row in tx.execute(query).mappings()]


def remove(tx: Connection, organization_id: int, template_id: int) -> None:
    """Take a template away; what was sent with it stays.

    Raises:
        NotFound: 404.
    """
    c = templates.c
    gone = delete(templates).where(c.organization_id == organization_id, c.id == template_id)
    if tx.execute(gone).rowcount == 0:
        raise NotFound("templateId")
