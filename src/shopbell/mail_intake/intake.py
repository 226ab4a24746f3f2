"""Takes what the mail listener has read: a report about a mail of ours, or an answer. It is kept once, however often it
comes: a mail is known by its ``Message-ID``.

Our own mails, and what machines answer to notices for the store, are let go.
"""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from pathlib import PurePath
from uuid import uuid4

import structlog

from shopbell import attachments, media_types
from shopbell.attachments import Attachment
from shopbell.blobs.store import Store
from shopbell.errors import Conflict, NotFound
from shopbell.keys import Keys
from shopbell.mail.addresses import Audience, BounceAddress, MailAddresses, ReplyAddress
from shopbell.mail.answer_links import LinkCutter
from shopbell.mail.bodies import MailAttachment
from shopbell.mail.envelope import Accepted, Envelope, NotNow, NotWanted, Verdict
from shopbell.mail.parse import IncomingMail
from shopbell.mail_intake.keeping import Mail, is_new, is_open, keep, storable
from shopbell.outreach import dispatches
from shopbell.settings import Settings
from shopbell.storage.database import Database
from shopbell.upload_quota import Limit, UploadMeter, UploadQuotaExceeded, customer_limits, organization_limits
from shopbell.wakes.hub import Wakes

TEXT_MAX_CHARACTERS = 10_000
FILES_MAX = 20
_NOBODY = NotWanted("This address is not in use any more")

log = structlog.get_logger()


class MailIntake:
    """Keeps mails.

    Args:
        settings: those of this process.
        database: where they are kept.
        keys: the installation's keys.
        wakes: hears of what was kept.
        blobs: where their files go; None where nobody has named a place.
    """

    def __init__(self, settings: Settings, database: Database, keys: Keys, wakes: Wakes, blobs: Store | None) -> None:
        self._settings = settings
        self._database = database
        self._wakes = wakes
        self._blobs = blobs
        self._addresses = MailAddresses(keys, sender=settings.mail_sender, reply_domain=settings.mail_reply_domain)
        self._links = LinkCutter(keys)

    async def accepts(self, address: str) -> bool:
        """Whether mail to an address is taken: it was made here, and the conversation that it answers is still there.

        Raises:
            StorageError: the database does not say.
        """
        to = self._addresses.parse(address)
        if isinstance(to, ReplyAddress):
            return await self._database.read(is_open, to)
        return to is not None

    async def receive(self, envelope: Envelope, mail: IncomingMail) -> Verdict:
        """Keep a mail, once.

        Raises:
            StorageError: it is not kept.
        """
        to = self._addresses.parse(envelope.recipient)
        if to is None:
            return _NOBODY
        if isinstance(to, BounceAddress) or self._is_about_ours(mail):
            await self._note_bounce(to, mail)
            return Accepted()
        if mail.is_automatic and to.audience is Audience.STORE:
            return Accepted()
        # Its signature says that a mail is ours. The domain does not: people have addresses in it as well.
        if mail.message_id is not None and self._addresses.parse_message_id(mail.message_id) is not None:
            return Accepted()
        external_id = _external_id(mail, envelope.raw)
        if not await self._database.read(is_new, to, external_id):
            return Accepted()
        files, unkept = await self._keep_files(to, mail.attachments)
        body = self._links.cut(_body(mail, unkept))
        full_text = await asyncio.to_thread(self._links.cut, storable(mail.text))
        if not body and not files:
            return Accepted()
        now_ms = time.time_ns() // 1_000_000
        try:
            kept = await self._database.write(keep, Mail(to, mail, external_id, files, body, full_text), now_ms=now_ms)
        except (NotFound, Conflict):  # the conversation is gone, or its customer was erased
            return _NOBODY
        if not kept:
            log.warning("mails go round", organization=to.organization_id, thread=to.thread_id)
            # What a person wrote stays with his mail server until there is room; a machine would only begin again.
            return Accepted() if mail.is_automatic else NotNow()
        self._wakes.announce([to.organization_id])
        return Accepted()

    def _is_about_ours(self, mail: IncomingMail) -> bool:
        """Whether a mail reports on one of ours. Any other report to a reply address is kept, as a note."""
        message_id = mail.bounce.message_id if mail.bounce else None
        return message_id is not None and self._addresses.parse_message_id(message_id) is not None

    async def _note_bounce(self, to: ReplyAddress | BounceAddress, mail: IncomingMail) -> None:
        bounce = mail.bounce
        if bounce is None:
            return  # a machine's answer to a mail that arrived
        which = to if isinstance(to, BounceAddress) else None
        if which is None and bounce.message_id is not None:
            which = self._addresses.parse_message_id(bounce.message_id)
        state = {"failed": "failed", "delivered": "delivered"}.get(bounce.action)
        if which is None or state is None or (state == "failed" and not bounce.is_permanent):
            return
        reason = f"bounced_{bounce.status.replace('.', '_')}" if bounce.status else "bounced"
        now_ms = time.time_ns() // 1_000_000
        place = (which.organization_id, which.dispatch_id)
        reason_or_none = reason if state == "failed" else None
        await self._database.write(dispatches.report, *place, state, reason_or_none, now_ms=now_ms)
        self._wakes.announce([which.organization_id])

    async def _keep_files(
        self, to: ReplyAddress, files: Sequence[MailAttachment]
    ) -> tuple[list[Attachment], list[str]]:
        """Put files into the store. Those that are kept, and the names of those that are not."""
        kept: list[Attachment] = []
        unkept: list[str] = []
        for file in files:
            name = attachments.clean_name(PurePath(file.name).name)
            one = await self._keep_file(to, name, file.content) if len(kept) < FILES_MAX else None
            if one is None:
                unkept.append(name)
            else:
                kept.append(one)
        return kept, unkept

    async def _keep_file(self, to: ReplyAddress, name: str, content: bytes) -> Attachment | None:
        settings, length_bytes = self._settings, len(content)
        content_type = media_types.sniff(content[: media_types.SNIFF_BYTES])
        is_wanted = media_types.is_among(content_type, settings.attachment_types)
        if self._blobs is None or not is_wanted or not 0 < length_bytes <= settings.attachment_limit_bytes:
            return None
        limits, now_ms = self._limits(to), time.time_ns() // 1_000_000
        async with UploadMeter(self._database, to.organization_id, limits, now_ms=now_ms) as meter:
            try:
                await meter.take(length_bytes, least_bytes=length_bytes)
            except UploadQuotaExceeded:
                return None
            async with self._blobs.incoming() as arriving:
                await self._blobs.add(arriving, content)
                announced = await self._database.write(
                    attachments.announce,
                    to.organization_id,
                    uuid=str(uuid4()),
                    name=name,
                    content_type=content_type,
                    length_bytes=length_bytes,
                    sha256=arriving.sha256,
                    now_ms=now_ms,
                )
                await self._blobs.keep(arriving, announced.blob)
            await self._database.write(attachments.arrive, to.organization_id, announced.id)
            meter.kept_bytes = length_bytes
        return announced

    def _limits(self, to: ReplyAddress) -> tuple[Limit, ...]:
        if to.audience is Audience.STORE:
            return organization_limits(self._settings)
        return customer_limits(self._settings, f"mail {to.thread_id}")


def _external_id(mail: IncomingMail, raw: bytes) -> str:
    return mail.message_id or f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _body(mail: IncomingMail, unkept: Sequence[str]) -> str:
    said = storable(mail.reply_text or mail.text).strip()
    if len(said) > TEXT_MAX_CHARACTERS:
        said = said[: TEXT_MAX_CHARACTERS - 1] + "…"
    names = "\n".join(f"[{name}]" for name in unkept[:FILES_MAX])
    return f"{said}\n\n{names}".strip() if names else said
