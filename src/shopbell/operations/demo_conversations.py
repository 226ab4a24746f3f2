"""The demo's first conversations, in several channels and languages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from shopbell.conversations import assignment, threads
from shopbell.conversations.message_writer import MessageWriter, NewMessage
from shopbell.conversations.receive import open_thread
from shopbell.customers import customers, identities
from shopbell.events.actors import SYSTEM, Actor
from shopbell.inbox import reads
from shopbell.notifications import feed_consumer

MINUTE_MS = 60_000

Author = Literal["customer", "alice", "ben", "note by ben"]


@dataclass(frozen=True, slots=True)
class Line:
    """A message, and how many minutes ago it was written."""

    author: Author
    minutes_ago: int
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of the demo.

    Args:
        first_name: of the customer.
        last_name: of the customer.
        address: email address or phone number of the customer.
        locale: of the customer.
        business: the place of the business in ``demo.BUSINESSES``.
        channel: of all messages.
        lines: the messages, the oldest first.
        assignee: the assigned employee, if any.
        is_resolved: whether the conversation is resolved.
    """

    first_name: str
    last_name: str
    address: str
    locale: str
    business: int
    channel: str
    lines: tuple[Line, ...]
    assignee: Author | None = None
    is_resolved: bool = False


CONVERSATIONS = (
    Conversation(
        *("Marc", "Petit", "marc.petit@example.com", "fr", 1, "EMAIL"),
        (
            Line("customer", 2900, "Bonjour, le manteau en laine est-il encore disponible en taille M ?"),
            Line("ben", 2870, "Bonjour Marc, oui, il nous en reste deux. Nous vous en gardons un jusqu’à samedi."),
            Line("customer", 2860, "Parfait, je passerai samedi. Merci !"),
        ),
        assignee="ben",
        is_resolved=True,
    ),
    Conversation(
        *("Yusuf", "Demir", "yusuf.demir@example.com", "en", 0, "EMAIL"),
        (
            Line("customer", 1500, "Hello, I ordered the small bike (order 48175) a week ago. When will it arrive?"),
            Line("alice", 1460, "Hello Yusuf, it left our warehouse this morning and should be with you on Monday."),
            Line(
                "customer",
                192,
                "It was meant for my daughter’s birthday on Saturday. Is there a way to get it any sooner?",
            ),
        ),
    ),
    Conversation(
        *("Leïla", "Haddad", "leila.haddad@example.com", "fr", 1, "WEB"),
        (
            Line(
                "customer",
                1300,
                "Bonjour, j’ai acheté chez vous un manteau il y a deux semaines et la doublure se découd déjà. "
                "Peut-on la réparer ?",
            ),
            Line(
                "alice",
                1260,
                "Bonjour Leïla, je suis désolée. Oui, bien sûr. Pouvez-vous nous dire où la couture s’est ouverte ?",
            ),
            Line("customer", 49, "À la manche gauche, sur environ 4 cm."),
            Line("customer", 48, "Je peux passer samedi entre 10 h et midi, si cela vous convient."),
            Line(
                "note by ben",
                31,
                "@Alice Miller I asked Paul: he is in on Saturday and needs 20 minutes. Free of charge.",
            ),
        ),
        assignee="alice",
    ),
    Conversation(
        *("Priya", "Raman", "+15551230142", "en", 0, "SMS"),
        (Line("customer", 41, "Hi! My basket came without its two screws. Can you send them?"),),
        assignee="ben",
    ),
    Conversation(
        *("Ingrid", "Berg", "ingrid.berg@example.com", "de", 0, "WEB"),
        (Line("customer", 26, "Hallo, liefern Sie auch nach Österreich, und was kostet der Versand?"),),
    ),
    Conversation(
        *("صفاء", "الزين", "safa.alzain@example.com", "ar", 1, "WEB"),
        (Line("customer", 18, "مرحبا، متى يصل طلبي رقم 48213؟"),),
    ),
    Conversation(
        *("Diego", "Costa", "diego.costa@example.com", "es", 0, "EMAIL"),
        (
            Line("customer", 170, "Hola, ¿tienen la bicicleta The Errand en verde?"),
            Line("ben", 120, "Hola Diego, sí, en verde y en azul."),
            Line("customer", 9, "Perfecto. ¿La pueden envolver para regalo, sin factura en el paquete?"),
        ),
        assignee="alice",
    ),
    Conversation(
        *("佐藤", "花", "+81312345678", "ja", 1, "WHATSAPP"),
        (Line("customer", 2, "注文48190の配送状況を教えてください。"),),
    ),
)


def create(
    tx: Connection,
    organization_id: int,
    business_ids: Sequence[int],
    employee_ids: Mapping[Author, int],
    *,
    now_ms: int,
) -> None:
    """Store the conversations, without notifications.

    Args:
        tx: the transaction.
        organization_id: the demo's organization.
        business_ids: its businesses.
        employee_ids: who writes the replies and notes.
        now_ms: the time in Unix ms.
    """
    for each in CONVERSATIONS:
        _create(tx, organization_id, business_ids[each.business], each, employee_ids, now_ms=now_ms)
    feed_consumer.skip(tx, organization_id)


def _create(
    tx: Connection,
    organization_id: int,
    business_id: int,
    conversation: Conversation,
    employee_ids: Mapping[Author, int],
    *,
    now_ms: int,
) -> None:
    kind = "email" if "@" in conversation.address else "phone"
    began_ms = now_ms - conversation.lines[0].minutes_ago * MINUTE_MS
    customer_id = identities.find_or_create(tx, organization_id, kind, conversation.address, now_ms=began_ms)
    names = {"first_name": conversation.first_name, "last_name": conversation.last_name}
    customers.update_profile(tx, organization_id, customer_id, names, actor=SYSTEM)
    customers.set_columns(tx, customers.find(tx, organization_id, customer_id), locale=conversation.locale)
    thread = open_thread(
        tx, organization_id, customer_id, business_id, conversation.channel, "waiting", now_ms=began_ms
    )
    reply_to = {f"last_{kind}": conversation.address}
    for line in conversation.lines:
        at_ms = now_ms - line.minutes_ago * MINUTE_MS
        with MessageWriter(tx, organization_id, now_ms=at_ms) as writer:
            if line.author == "customer":
                message = NewMessage(line.text, from_customer=True, channel=conversation.channel)
                changed = {"status": "waiting", "last_customer_message_at_ms": at_ms, **reply_to}
                (added,) = writer.add(thread, [message], **changed)
            elif line.author.startswith("note"):
                note = NewMessage(line.text, internal=True, actor=Actor("employee", employee_ids[line.author]))
                (added,) = writer.add(thread, [note])
            else:
                author_id = employee_ids[line.author]
                reply = NewMessage(line.text, channel=conversation.channel, actor=Actor("employee", author_id))
                (added,) = writer.add_reply(threads.lock(tx, organization_id, thread.id), [reply], author_id)
            thread = added.thread
        if "@Alice" in line.text:
            author = Actor("employee", employee_ids[line.author])
            reads.mention(tx, organization_id, added.message_id, [employee_ids["alice"]], actor=author, now_ms=at_ms)
    if conversation.assignee is not None:
        assignee_id = employee_ids[conversation.assignee]
        assignment.assign(tx, organization_id, thread.id, assignee_id, actor=SYSTEM)
    if conversation.is_resolved:
        threads.update_status(tx, organization_id, thread.id, "resolved", actor=SYSTEM)
