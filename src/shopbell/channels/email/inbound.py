"""Receive emails: replies, and reports about emails that Shopbell sent.

An email is stored once, however often it is delivered: its ``Message-ID`` identifies it. Emails that Shopbell sent, and
automatic replies to emails for the business, are ignored.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import PurePath
from uuid import uuid4

import structlog

from shopbell.attachments import attachments, media_types
from shopbell.attachments.attachments import Attachment
from shopbell.attachments.store import Store
from shopbell.attachments.upload_quota import (
    Limit,
    UploadMeter,
    UploadQuotaExceeded,
    customer_limits,
    organization_limits,
    remove_uploads,
)
from shopbell.channels.email.store import InboundEmail, has_room, is_new, is_open, storable, store_email
from shopbell.db.database import Database
from shopbell.email.answer_links import LinkRemover
from shopbell.email.bodies import EmailAttachment
from shopbell.email.envelope import Accepted, Envelope, NotNow, NotWanted, Verdict
from shopbell.email.parse import IncomingEmail
from shopbell.email.reply_addresses import Audience, BounceAddress, EmailAddresses, ReplyAddress
from shopbell.errors import Conflict, NotFound, StorageError
from shopbell.notifications import outbox
from shopbell.realtime.hub import PubSub
from shopbell.runtime import clock
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

TEXT_MAX_CHARACTERS = 10_000
FILES_MAX = 20
_NOBODY = NotWanted("This address is no longer in use")

log = structlog.get_logger()


class EmailReceiver:
    """Stores inbound emails.

    Args:
        settings: those of this process.
        database: where they are stored.
        keys: the installation's keys.
        pubsub: publishes news.
        blobs: stores their files; None if there is no attachment store.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys, pubsub: PubSub, blobs: Store | None) -> None:
        self._settings = settings
        self._database = database
        self._pubsub = pubsub
        self._blobs = blobs
        self._addresses = EmailAddresses(keys, sender=settings.mail_sender, reply_domain=settings.mail_reply_domain)
        self._links = LinkRemover(keys)

    async def accepts(self, address: str) -> bool:
        """Whether email to an address is accepted.

        Shopbell must have created the address, and its conversation must still exist.

        Raises:
            StorageError: the database failed.
        """
        to = self._addresses.parse(address)
        if isinstance(to, ReplyAddress):
            return await self._database.read(is_open, to)
        return to is not None

    async def receive(self, envelope: Envelope, email: IncomingEmail) -> Verdict:
        """Store an email, once.

        Raises:
            StorageError: it is not stored.
        """
        to = self._addresses.parse(envelope.recipient)
        if to is None:
            return _NOBODY
        if isinstance(to, BounceAddress) or self._is_about_ours(email):
            await self._note_bounce(to, email)
            return Accepted()
        if email.is_automatic and to.audience is Audience.BUSINESS:
            return Accepted()
        # The signature shows that Shopbell sent it. The domain does not: people have addresses there too.
        if email.message_id is not None and self._addresses.parse_message_id(email.message_id) is not None:
            return Accepted()
        external_id = _external_id(email, envelope.raw)
        if not await self._database.read(is_new, to, external_id):
            return Accepted()
        now_ms = clock.now_ms()
        # Before the files are stored: an email that must wait is delivered again every minute.
        if not await self._database.read(has_room, to, email, now_ms=now_ms):
            return _refuse(to, email)
        files: list[Attachment] = []
        verdict: Verdict | None = None
        try:
            verdict = await self._store(to, email, external_id, files, now_ms)
        finally:
            if files and not isinstance(verdict, Accepted):
                await self._give_up(to, files)
        return verdict

    async def _store(
        self, to: ReplyAddress, email: IncomingEmail, external_id: str, files: list[Attachment], now_ms: int
    ) -> Verdict:
        """Store an email; ``files`` gets its files as soon as each is stored."""
        unkept = await self._keep_files(to, email.attachments, files, now_ms)
        body = self._links.cut(_body(email, unkept))
        full_text = await asyncio.to_thread(self._links.cut, storable(email.text))
        if not body and not files:
            return Accepted()
        try:
            kept = await self._database.write(
                store_email, InboundEmail(to, email, external_id, files, body, full_text), now_ms=now_ms
            )
        except (NotFound, Conflict):  # the conversation does not exist, or its customer was erased
            return _NOBODY
        if not kept:
            return _refuse(to, email)
        self._pubsub.publish([to.organization_id])
        return Accepted()

    async def _give_up(self, to: ReplyAddress, files: Sequence[Attachment]) -> None:
        """Remove the files of an email that is not stored. It may be delivered again, with the same files."""
        now_ms = clock.now_ms()
        try:
            await self._database.write(remove_uploads, to.organization_id, self._limits(to), files, now_ms=now_ms)
        except StorageError:  # the files are deleted after a day; their bytes stay counted until its end
            log.warning("cannot remove the files of an email", organization=to.organization_id)

    def _is_about_ours(self, email: IncomingEmail) -> bool:
        """Whether an email reports on one that Shopbell sent.

        Other reports to a reply address are stored as notes.
        """
        message_id = email.bounce.message_id if email.bounce else None
        return message_id is not None and self._addresses.parse_message_id(message_id) is not None

    async def _note_bounce(self, to: ReplyAddress | BounceAddress, email: IncomingEmail) -> None:
        bounce = email.bounce
        if bounce is None:
            return  # an automatic reply to an email that arrived
        which = to if isinstance(to, BounceAddress) else None
        if which is None and bounce.message_id is not None:
            which = self._addresses.parse_message_id(bounce.message_id)
        state = {"failed": "failed", "delivered": "delivered"}.get(bounce.action)
        if which is None or state is None or (state == "failed" and not bounce.is_permanent):
            return
        reason = f"bounced_{bounce.status.replace('.', '_')}" if bounce.status else "bounced"
        now_ms = clock.now_ms()
        place = (which.organization_id, which.outbound_message_id)
        reason_or_none = reason if state == "failed" else None
        await self._database.write(outbox.report, *place, state, reason_or_none, now_ms=now_ms)
        self._pubsub.publish([which.organization_id])

    async def _keep_files(
        self, to: ReplyAddress, files: Sequence[EmailAttachment], kept: list[Attachment], now_ms: int
    ) -> list[str]:
        """Store files and add them to ``kept``; returns the names of the others."""
        unkept: list[str] = []
        for file in files:
            name = attachments.clean_name(PurePath(file.name).name)
            one = await self._keep_file(to, name, file.content, now_ms) if len(kept) < FILES_MAX else None
            if one is None:
                unkept.append(name)
            else:
                kept.append(one)
        return unkept

    async def _keep_file(self, to: ReplyAddress, name: str, content: bytes, now_ms: int) -> Attachment | None:
        settings, length_bytes = self._settings, len(content)
        content_type = media_types.sniff(content[: media_types.SNIFF_BYTES])
        is_wanted = media_types.is_among(content_type, settings.attachment_types)
        if self._blobs is None or not is_wanted or not 0 < length_bytes <= settings.attachment_limit_bytes:
            return None
        async with UploadMeter(self._database, to.organization_id, self._limits(to), now_ms=now_ms) as meter:
            try:
                await meter.take(length_bytes, least_bytes=length_bytes)
            except UploadQuotaExceeded:
                return None
            async with self._blobs.incoming() as arriving:
                await self._blobs.add(arriving, content)
                announced = await self._database.write(
                    attachments.register,
                    to.organization_id,
                    uuid=str(uuid4()),
                    name=name,
                    content_type=content_type,
                    length_bytes=length_bytes,
                    sha256=arriving.sha256,
                    now_ms=now_ms,
                )
                await self._blobs.keep(arriving, announced.blob)
            await self._database.write(attachments.mark_stored, to.organization_id, announced.id)
            meter.kept_bytes = length_bytes
        return announced

    def _limits(self, to: ReplyAddress) -> tuple[Limit, ...]:
        if to.audience is Audience.BUSINESS:
            return organization_limits(self._settings)
        return customer_limits(self._settings, f"mail {to.thread_id}")


def _refuse(to: ReplyAddress, email: IncomingEmail) -> Verdict:
    log.warning("too many emails in one conversation", organization=to.organization_id, thread=to.thread_id)
    # A person's email stays with their mail server until there is room. A program would only reply again.
    return Accepted() if email.is_automatic else NotNow()


def _external_id(email: IncomingEmail, raw: bytes) -> str:
    return email.message_id or f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _body(email: IncomingEmail, unkept: Sequence[str]) -> str:
    said = storable(email.reply_text or email.text).strip()
    if len(said) > TEXT_MAX_CHARACTERS:
        said = said[: TEXT_MAX_CHARACTERS - 1] + "…"
    names = "\n".join(f"[{name}]" for name in unkept[:FILES_MAX])
    return f"{said}\n\n{names}".strip() if names else said
