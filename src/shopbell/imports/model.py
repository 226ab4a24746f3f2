"""What all formats are read into: people and conversations."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["customer", "employee", "program"]

Status = Literal["open", "waiting", "replied", "resolved"]
"""``open``: waiting if the customer wrote last, otherwise replied."""


class BrokenRecord(Exception):
    """A record that does not follow its format. The text completes a sentence and repeats no data of the record."""


class SkippedRecord(Exception):
    """A record that is not to be imported. The text is the reason, and repeats no data of the record."""


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A customer, or an employee who wrote to customers.

    Args:
        key: kind and id in the other product, such as ``user:12``.
        name: the full name; empty if unknown, as are all others.
        email: as it was entered.
        phone: as it was entered.
        company: the name of a company.
        locale: a language tag.
        is_employee: whether they work for the organization.
    """

    key: str
    name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    locale: str = ""
    is_employee: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message of a conversation.

    Args:
        at_ms: when it was written, in Unix ms.
        text: the text; may be empty if there are files.
        author: who wrote it; None if only the person behind ``author_key`` tells.
        author_key: the key of its author; empty if unknown.
        internal: whether only employees see it.
        files: the names of its files.
    """

    at_ms: int
    text: str
    author: Kind | None
    author_key: str = ""
    internal: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class Conversation:
    """A conversation with a customer.

    Args:
        id: its id in the other product.
        customer_key: the key of the customer.
        channel: where the customer is answered: a channel of Shopbell.
        status: its status.
        messages: in the order of their times.
        inboxes: ids and names of the inbox, group, team or mailbox that it belongs to.
        subject: empty if there is none.
        tags: their names.
        assignee_key: the key of the assigned employee; empty if there is none.
        notes: what is incomplete, for the report.
    """

    id: str
    customer_key: str
    channel: str
    status: Status
    messages: tuple[Message, ...]
    inboxes: tuple[str, ...] = ()
    subject: str = ""
    tags: tuple[str, ...] = ()
    assignee_key: str = ""
    notes: tuple[str, ...] = ()


Record = Person | Conversation
