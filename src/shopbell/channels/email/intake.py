"""Parse an inbound email and store it for each of its recipients."""

import asyncio

import structlog

from shopbell.email.envelope import Broken, Envelope, NotNow, Receive, Verdict
from shopbell.email.parse import IncomingEmail, parse
from shopbell.errors import StorageError

RECEIVE_TIMEOUT_S = 60
_AT_ONCE = 2
"""Emails that are parsed at the same time: parsing keeps a processor busy."""

log = structlog.get_logger()


class EmailIntake:
    """Takes emails from those who receive them.

    Args:
        receive: stores one email for one recipient.
        authserv_id: the name of the mail server in ``Authentication-Results``; None if no sender is verified.
    """

    def __init__(self, receive: Receive, *, authserv_id: str | None) -> None:
        self._receive = receive
        self._authserv_id = authserv_id
        self._reading = asyncio.Semaphore(_AT_ONCE)

    async def take(self, sender: str | None, recipients: list[str], raw: bytes) -> list[Verdict]:
        """Store an email for each of its recipients; returns the response for each.

        Args:
            sender: the envelope sender; "" in bounces and automatic replies; None if unknown.
        """
        try:
            async with self._reading:
                email = await asyncio.to_thread(parse, raw, authserv_id=self._authserv_id, envelope_sender=sender)
        except Exception as error:  # after a bug, the sender keeps the email and tries again
            log.error("bug", job="parse an email", exc_info=error)
            return [Broken() for _ in recipients]
        return [await self._keep(Envelope(sender or "", recipient, raw), email) for recipient in recipients]

    async def _keep(self, envelope: Envelope, email: IncomingEmail) -> Verdict:
        try:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                return await self._receive(envelope, email)
        except (StorageError, TimeoutError) as error:
            log.warning("postponed", job="store an email", reason=str(error) or "timeout")
        except Exception as error:
            log.error("bug", job="store an email", exc_info=error)
            return Broken()
        return NotNow()
