"""Automatic messages: the customer sees them, but they do not count as replies.

The thread still needs a reply, and the business is still notified of it.
"""

from shopbell.conversations.message_writer import MessageWriter, NewMessage
from shopbell.events.record import InThread
from shopbell.notifications.policy import Said


def post_system_message(
    writer: MessageWriter, thread: InThread, body: str, channel: str | None, *, internal: bool = False
) -> tuple[InThread, Said]:
    """Insert an automatic message into a thread.

    Args:
        writer: inserts it.
        thread: its row is locked by the transaction.
        body: the text.
        channel: the channel that it is sent by; None for that of the thread.
        internal: whether only employees see it.

    Returns:
        The thread with the new message, and the message.
    """
    (one,) = writer.add(thread, [NewMessage(body, channel=channel, internal=internal)])
    said = Said(one.message_id, one.thread.last_sequence, writer.now_ms, from_customer=False, channel=channel)
    return one.thread, said
