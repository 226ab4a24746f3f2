"""The task of the worker process that notifies employees' browsers."""

import asyncio
import hmac
import time
from contextlib import suppress
from functools import partial

import orjson
import structlog

from shopbell import __version__
from shopbell.db.clock_changes import ClockChanges
from shopbell.db.database import Database
from shopbell.errors import StorageError
from shopbell.realtime.hub import Listener, PubSub
from shopbell.realtime.news_worker import NewsWorker
from shopbell.runtime.clock import now_ms
from shopbell.safe_http.addresses import AllowList
from shopbell.safe_http.client import HttpResponse, OutboundClient
from shopbell.safe_http.errors import OutboundFailure, error_class
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings
from shopbell.web_push import decisions, outbox, vapid
from shopbell.web_push.encryption import encrypt, to_base64url
from shopbell.web_push.outbox import Claimed, Outcome
from shopbell.web_push.subscriptions import SEALING_PURPOSE, Address
from shopbell.web_push.vapid import Vapid
from shopbell.webhooks.retry_policy import retry_after_s

SLOTS = 16
"""The maximum number of notifications that one worker sends at once."""

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
LOOK_EVERY_S = 0.5
"""The shortest time between two looks at the feeds."""

VALID_S = 12 * 60 * 60
"""How long a push service keeps a notification for a browser that is not connected."""

_RETRY_MAX_S = 3_600
_AGAIN_S = 0.05
_TOPIC_BYTES = 24
"""At most 32 characters of base64url."""

_GONE = (404, 410)
_TEMPORARY = (408, 425, 429)

log = structlog.get_logger()


def outcome_of(response: HttpResponse) -> Outcome:
    """What the response of a push service means (RFC 8030)."""
    if 200 <= response.status < 300:
        return "sent"
    if response.status in _GONE:
        return "gone"
    return "failed" if response.status >= 500 or response.status in _TEMPORARY else "refused"


def contact_of(settings: Settings) -> str:
    """The operator's contact for push services: the public URL or an email address."""
    public_url = str(settings.public_url or "")
    if public_url.startswith("https:"):
        return public_url.rstrip("/")
    return f"mailto:{settings.mail_from or 'shopbell@localhost'}"


class PushSender(NewsWorker):
    """Notifies employees' browsers until it is ended.

    Args:
        settings: those of this process.
        database: the database.
        keys: the installation's keys.
        pubsub: notifies of news; must be started.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys, pubsub: PubSub) -> None:
        super().__init__("notify employees", pubsub, settings.shutdown_timeout_s)
        self._settings = settings
        self._database = database
        self._addresses = Cipher(keys, SEALING_PURPOSE)
        self._keys = Cipher(keys, vapid.SEALING_PURPOSE)
        self._vapid: Vapid | None = None
        self._client = OutboundClient(AllowList.parse(settings.outbound_allow))
        self._due = Listener()
        self._sending: set[asyncio.Task[None]] = set()
        self._clock_changes = ClockChanges(database, "pushes", outbox.move_up)
        self._last_organization_id = 0

    def _wake(self) -> None:
        super()._wake()
        self._due.wake()

    async def _work(self) -> None:
        wait_for_news = partial(self._wait_for_news, at_least_s=LOOK_EVERY_S)
        await self._repeat_all(
            [("decide pushes", self.decide, wait_for_news), ("send pushes", self.send_due, self._due.wait)]
        )
        await self._finish(self._sending, _settled)
        await self._client.close()

    async def decide(self) -> float:
        """Decide what to send; returns the seconds to wait unless there is news."""
        organization_ids = await self._database.read(decisions.find_news, self._last_organization_id)
        for organization_id in organization_ids:
            self._last_organization_id = organization_id
            section = await self._database.read(decisions.read, organization_id, now_ms=now_ms())
            if section is not None and await self._database.write(decisions.write, section, now_ms=now_ms()):
                self._due.wake()
            if self._ending.is_set():
                break
        return 0 if organization_ids else self._settings.poll_interval_s

    async def send_due(self) -> float:
        """Start to send what is due while slots are free; returns the seconds to wait."""
        await self._clock_changes.follow()
        free = SLOTS - len(self._sending)
        due_at_ms = await self._database.read(outbox.next_due_ms)
        if not free or due_at_ms is None:
            return self._settings.poll_interval_s
        if due_at_ms > now_ms():
            return min((due_at_ms - now_ms()) / 1_000 + _AGAIN_S, self._settings.poll_interval_s)
        shows_text = self._settings.push_shows_text
        claimed = await self._database.write(outbox.claim, shows_text=shows_text, limit=free, now_ms=now_ms())
        for each in claimed:
            task = asyncio.create_task(self._send(each))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return 0 if claimed else _AGAIN_S

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._due.wake()

    async def _send(self, claimed: Claimed) -> None:
        retry_after_ms = 0
        where = {"organization": claimed.organization_id, "subscription": claimed.subscription_id}
        try:
            response = await self._post(claimed)
        except OutboundFailure as error:
            outcome: Outcome = "failed"
            log.warning("not notified", **where, attempt=claimed.attempt, reason=error_class(error))
        except Exception as error:  # a notification that cannot be sent must not be tried forever
            outcome = "refused"
            log.error("bug", job="send pushes", **where, exc_info=error)
        else:
            outcome = outcome_of(response)
            asked_s = retry_after_s(response.headers.get("retry-after"), now_ms())
            retry_after_ms = round(min(asked_s, _RETRY_MAX_S) * 1_000)
            if outcome != "sent":
                log.warning("not notified", **where, attempt=claimed.attempt, status=response.status)
        with suppress(StorageError):  # another attempt follows after the lease
            await self._database.write(outbox.settle, claimed, outcome, retry_after_ms=retry_after_ms, now_ms=now_ms())

    async def _post(self, claimed: Claimed) -> HttpResponse:
        address = Address.open(claimed.sealed_address, self._addresses)
        body = await asyncio.to_thread(encrypt, orjson.dumps(claimed.content), address.keys)
        signer = self._vapid or await self._signer()
        headers = {
            "authorization": signer.authorization(address.endpoint, now_s=time.time()),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(VALID_S),
            "urgency": "high",
            # A newer notification of the same conversation replaces one that the browser has not received.
            "topic": to_base64url(hmac.digest(address.keys.auth, b"%d" % claimed.thread_id, "sha256")[:_TOPIC_BYTES]),
            "user-agent": f"Shopbell/{__version__}",
        }
        return await self._client.post(
            address.endpoint, headers=headers, content=body, timeout_s=TIMEOUT_S, connect_timeout_s=CONNECT_TIMEOUT_S
        )

    async def _signer(self) -> Vapid:
        pem = await self._database.write(vapid.create, self._keys)
        self._vapid = Vapid(pem, contact_of(self._settings))
        return self._vapid


async def _settled() -> None:
    """Do nothing: each task stores its own outcome."""
