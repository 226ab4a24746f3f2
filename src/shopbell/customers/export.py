"""Exports all stored data of a customer as one JSON document, in pieces."""

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import orjson
from sqlalchemy import Connection, and_, select

from shopbell.customers import canonical, customers
from shopbell.db.schema.core import attachments, blocked_messages, customer_identities, messages
from shopbell.db.schema.customers import external_identities, mail_details, surveys
from shopbell.db.schema.inbox_tools import drafts, tags, thread_tags
from shopbell.runtime import clock

P = ParamSpec("P")
T = TypeVar("T")

PAGE_ROWS = 500


class Reads(Protocol):
    """Runs a function in a read-only transaction."""

    def __call__(self, fn: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


def begin(tx: Connection, organization_id: int, customer_id: int) -> dict[str, Any]:
    """The document without messages.

    Args:
        customer_id: the customer; for a merged one, the customer that they became.

    Raises:
        NotFound: 404.
    """
    customer = customers.find(tx, organization_id, customer_id)
    ids = canonical.with_merged(tx, organization_id, customer.id)
    found = customers.threads_of(tx, organization_id, ids)
    thread_ids = [row.id for row in found]
    tags_of, drafts_of = _tags(tx, organization_id, thread_ids), _drafts(tx, organization_id, thread_ids)
    i = customer_identities.c
    known = select(customer_identities).where(
        customers.of_customers(customer_identities, organization_id, [customer.id])
    )
    return {
        "exportedAt": clock.now_ms(),
        "customer": {
            "id": str(customer.id),
            "firstName": customer.first_name,
            "lastName": customer.last_name,
            "company": customer.company,
            "locale": customer.locale,
            "unverifiedEmailAddress": customer.unverified_email,
            "unverifiedPhoneNumber": customer.unverified_phone,
            "createdAt": customer.created_at_ms,
            "blockedAt": customer.blocked_at_ms,
            "erasedAt": customer.erased_at_ms,
        },
        "mergedCustomerIds": [str(id_) for id_ in ids[1:]],
        "identities": [
            {"kind": row.kind, "value": row.value, "shown": row.shown, "createdAt": row.created_at_ms}
            for row in tx.execute(known.order_by(i.kind, i.value))
        ],
        "externalIds": [
            {"subject": row.subject, "createdAt": row.created_at_ms}
            for row in tx.execute(
                select(external_identities)
                .where(customers.of_customers(external_identities, organization_id, ids))
                .order_by(external_identities.c.subject)
            )
        ],
        "surveys": [
            {
                "customerThreadId": str(row.thread_id),
                "kind": row.kind,
                "askedAt": row.asked_at_ms,
                "answeredAt": row.answered_at_ms,
                "score": row.score,
                "comment": row.comment,
            }
            for row in tx.execute(
                select(surveys).where(customers.of_customers(surveys, organization_id, ids)).order_by(surveys.c.id)
            )
        ],
        "threads": [
            {
                "customerThreadId": str(row.id),
                "customerId": str(row.customer_id),
                "businessId": str(row.business_id),
                "channel": row.channel,
                "status": row.status,
                "createdAt": row.created_at_ms,
                "updatedAt": row.updated_at_ms,
                "tags": tags_of[row.id],
                "drafts": drafts_of[row.id],
            }
            for row in found
        ],
    }


def _tags(tx: Connection, organization_id: int, thread_ids: list[int]) -> dict[int, list[str]]:
    """The names of the tags of threads."""
    t, has = tags.c, thread_tags.c
    query = (
        select(has.thread_id, t.name)
        .join_from(thread_tags, tags, and_(t.organization_id == has.organization_id, t.id == has.tag_id))
        .where(has.organization_id == organization_id, has.thread_id.in_(thread_ids))
        .order_by(has.thread_id, has.tag_id)
    )
    found: dict[int, list[str]] = {id_: [] for id_ in thread_ids}
    for thread_id, name in tx.execute(query):
        found[thread_id].append(name)
    return found


def _drafts(tx: Connection, organization_id: int, thread_ids: list[int]) -> dict[int, list[dict[str, Any]]]:
    """The drafts in threads: of employees, and those that programs suggest."""
    d = drafts.c
    query = (
        select(d.thread_id, d.mode, d.body, d.updated_at_ms)
        .where(d.organization_id == organization_id, d.thread_id.in_(thread_ids))
        .order_by(d.thread_id, d.id)
    )
    found: dict[int, list[dict[str, Any]]] = {id_: [] for id_ in thread_ids}
    for row in tx.execute(query):
        found[row.thread_id].append({"internal": row.mode == "note", "text": row.body, "updatedAt": row.updated_at_ms})
    return found


def pieces(read: Reads, organization_id: int, document: dict[str, Any]) -> Iterator[bytes]:
    """The whole document in pieces, so that a long one needs little memory.

    Args:
        read: runs a function in a read-only transaction.
        document: the result of ``begin``.

    Yields:
        The document as JSON, in UTF-8.
    """
    conversations = document["threads"]
    rest = {name: value for name, value in document.items() if name != "threads"}
    yield orjson.dumps(rest)[:-1] + b',"threads":['
    for number, thread in enumerate(conversations):
        yield (b"," if number else b"") + orjson.dumps(thread)[:-1] + b',"messages":['
        yield from _listed(read, _said, organization_id, int(thread["customerThreadId"]))
        yield b"]}"
    yield b'],"blockedMessages":['
    comma = b""
    for id_ in (document["customer"]["id"], *document["mergedCustomerIds"]):
        for page in _listed(read, _unseen, organization_id, int(id_)):
            yield comma + page.removeprefix(b",")
            comma = b","
    yield b"]}\n"


Page = Callable[[Connection, int, int, int], list[tuple[int, dict[str, Any]]]]
"""Reads rows of one owner after a place, each with its own place."""


def _listed(read: Reads, page: Page, organization_id: int, owner_id: int) -> Iterator[bytes]:
    after = 0
    while rows := read(page, organization_id, owner_id, after):
        yield (b"," if after else b"") + b",".join(orjson.dumps(row) for _, row in rows)
        after = rows[-1][0]


def _said(tx: Connection, organization_id: int, thread_id: int, after: int) -> list[tuple[int, dict[str, Any]]]:
    m, a, d = messages.c, attachments.c, mail_details.c
    carried = and_(a.organization_id == m.organization_id, a.id == m.attachment_id)
    mailed = and_(d.organization_id == m.organization_id, d.message_id == m.id)
    query = (
        select(messages, a.name, a.content_type, a.length_bytes)
        .add_columns(d.message_id.label("mail_id"), d.sender, d.sender_name, d.subject, d.full_text)
        .select_from(messages.outerjoin(attachments, carried).outerjoin(mail_details, mailed))
        .where(m.organization_id == organization_id, m.thread_id == thread_id, m.sequence > after)
        .order_by(m.sequence)
        .limit(PAGE_ROWS)
    )
    return [(row.sequence, _message(row)) for row in tx.execute(query)]


def _message(row: Any) -> dict[str, Any]:
    attachment = {"name": row.name, "contentType": row.content_type, "lengthBytes": row.length_bytes}
    mail = {"from": row.sender, "name": row.sender_name, "subject": row.subject, "fullText": row.full_text}
    return {
        "id": str(row.id),
        "sequence": row.sequence,
        "fromCustomer": bool(row.from_customer),
        "internal": bool(row.internal),
        "text": row.body,
        "createdAt": row.created_at_ms,
        "externalId": row.external_id,
        "channel": row.channel,
        "mail": None if row.mail_id is None else mail,
        "attachment": None if row.attachment_id is None else attachment,
    }


def _unseen(tx: Connection, organization_id: int, customer_id: int, after: int) -> list[tuple[int, dict[str, Any]]]:
    b = blocked_messages.c
    query = (
        select(blocked_messages)
        .where(customers.of_customers(blocked_messages, organization_id, [customer_id]), b.id > after)
        .order_by(b.id)
        .limit(PAGE_ROWS)
    )
    return [
        (row.id, {"businessId": str(row.business_id), "text": row.body, "createdAt": row.created_at_ms})
        for row in tx.execute(query)
    ]
