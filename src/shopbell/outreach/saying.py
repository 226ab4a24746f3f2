"""Messages that nobody wrote: they stand in the conversation for all to see, and answer nothing.

The thread goes on to need a reply, and the store goes on to be told so.
"""

from sqlalchemy import Connection, insert, update

from shopbell.events import InThread
from shopbell.outreach.decisions import Said
from shopbell.storage.ids import take_id
from shopbell.storage.schema import messages, threads


def say(
    tx: Connection,
    organization_id: int,
    thread: InThread,
    body: str,
    channel: str | None,
    *,
    internal: bool = False,
    now_ms: int,
) -> tuple[InThread, Said]:
    """Write an automatic message into a thread.

    Args:
        tx: the transaction, which records the event ``message`` of it at its end.
        organization_id: whose thread.
        thread: locked.
        body: what is said.
        channel: by which it goes; None for the thread's own.
        internal: whether only employees see it.
        now_ms: the time in Unix ms.

    Returns:
        The thread as it is now, and the message.
    """
    sequence, message_id = thread.last_sequence + 1, take_id(tx)
    c = threads.c
    of_thread = (c.organization_id == organization_id, c.id == thread.id)
    tx.execute(update(threads).where(*of_thread).values(last_sequence=sequence, updated_at_ms=now_ms))
    tx.execute(
        insert(messages).values(
            organization_id=organization_id,
            thread_id=thread.id,
            sequence=sequence,
            id=message_id,
            from_customer=False,
            internal=internal,
            body=body,
            created_at_ms=now_ms,
            channel=channel,
        )
    )
    placed = InThread(thread.id, thread.customer_id, thread.business_id, sequence)
    return placed, Said(message_id, sequence, now_ms, from_customer=False, channel=channel)
