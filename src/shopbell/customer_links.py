"""Links in mails and texts that lead a customer to his conversation. Owns their table: keyed hashes only."""

import secrets
import string

from sqlalchemy import Connection, insert

from shopbell.keys import Keys
from shopbell.security import token_hash
from shopbell.storage.customer_schema import customer_links
from shopbell.storage.ids import take_id

KEY_PURPOSE = "customer link"
PATH = "/t/"
"""What the link's path begins with; the token follows."""

_DAY_MS = 24 * 60 * 60 * 1_000
VALID_MS = {"EMAIL": 30 * _DAY_MS, "SMS": 7 * _DAY_MS, "WHATSAPP": 7 * _DAY_MS}
"""How long a link is good, by how it was sent."""

_CHARACTERS = string.ascii_letters + string.digits
# A text is short: 71 bits, which are guessed at against a limit. A mail has room for 256.
_LENGTHS = {"EMAIL": 43, "SMS": 12, "WHATSAPP": 12}


class CustomerLinks:
    """Makes links.

    Args:
        keys: the installation's keys; links that were made with the former one are still good.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.derive(KEY_PURPOSE)

    def make(
        self, tx: Connection, organization_id: int, thread_id: int, channel: str, address: str, *, now_ms: int
    ) -> str:
        """Make a link to a conversation.

        Args:
            tx: the transaction.
            organization_id: whose conversation.
            thread_id: the conversation.
            channel: by which it is sent: ``EMAIL``, ``SMS`` or ``WHATSAPP``.
            address: where it is sent.
            now_ms: the time in Unix ms.

        Returns:
            The token that follows ``PATH``; it is kept nowhere.
        """
        token = "".join(secrets.choice(_CHARACTERS) for _ in range(_LENGTHS[channel]))
        tx.execute(
            insert(customer_links).values(
                organization_id=organization_id,
                id=take_id(tx),
                thread_id=thread_id,
                channel=channel,
                address=address,
                token_hash=token_hash(self._keys[0], token),
                created_at_ms=now_ms,
                expires_at_ms=now_ms + VALID_MS[channel],
            )
        )
        return token
