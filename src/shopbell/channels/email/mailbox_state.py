"""What the processes of an installation share about the mailbox: who reads it, and how far."""

import hashlib

from sqlalchemy import Connection

from shopbell.db.installation import find_fact, store_fact
from shopbell.db.lease import Lease
from shopbell.settings.mailbox import MailboxAddress

LEASE = Lease("mailbox_reader", for_ms=30_000)
"""The right to read the mailbox. If two processes read it for a while, each email is stored once all the same."""

_POSITION = "mailbox_position"


def find_position(tx: Connection, mailbox: MailboxAddress, validity: int) -> int:
    """Return the UID up to which a folder was read; 0 if it is another folder, or its UIDs began again.

    Args:
        validity: the folder's UIDVALIDITY.
    """
    folder, _, uid = (find_fact(tx, _POSITION) or "").rpartition(" ")
    return int(uid) if folder == _folder(mailbox, validity) else 0


def store_position(tx: Connection, mailbox: MailboxAddress, validity: int, uid: int) -> None:
    """Store the UID up to which a folder was read."""
    store_fact(tx, _POSITION, f"{_folder(mailbox, validity)} {uid}")


def _folder(mailbox: MailboxAddress, validity: int) -> str:
    name = f"{mailbox.host}\0{mailbox.user}\0{mailbox.folder}"
    return f"{hashlib.sha256(name.encode()).hexdigest()[:32]} {validity}"
