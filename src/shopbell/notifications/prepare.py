"""Check a due outbound message again, charge it, render it, count the attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection

from shopbell.customers.magic_links import PATH, CustomerLinks
from shopbell.customers.opt_outs import OptOuts
from shopbell.db import installation
from shopbell.db.schema.customers import surveys
from shopbell.formats.channels import identity_value
from shopbell.notifications import business_digest, delivery_status, outbox
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.channel import Channel, Rendered
from shopbell.notifications.content import Notification, Urls, carried, read_lines
from shopbell.notifications.context import KnownThread, read_known_threads
from shopbell.notifications.limits import Budget, QuotaExhausted, Wait, consume, consume_notice
from shopbell.notifications.outbox import Due, Started
from shopbell.security.keys import Keys
from shopbell.settings.settings import Settings

_ANSWERED_ELSEWHERE = ("reply", "auto-reply", "welcome")
_ASKED_FOR = ("link",)
"""What customers have just asked for, such as a new link, is sent although they opted out."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item that is sent next. Its attempt is counted."""

    started: Started
    item: Any


class Done:
    """An outbound message that needed no sending; there may be more."""


class Preparer:
    """Prepares outbound messages that are due.

    Args:
        settings: those of this process.
        keys: the installation's keys.
        channels: all channels.
    """

    def __init__(self, settings: Settings, keys: Keys, channels: Sequence[Channel]) -> None:
        self.opt_outs = OptOuts(keys)
        self.rules: Rules = {each.name: each for channel in channels for each in channel.capabilities}
        self._channels = {name: channel for channel in channels for name in channel.names}
        self._urls = Urls(settings, keys)
        self._links = CustomerLinks(keys)
        self._budget = Budget(settings.sms_segments_per_day, settings.sms_cooldown_s * 1_000)
        self._notices_per_hour = settings.store_mails_per_hour

    def prepare(
        self, tx: Connection, channels: tuple[str, ...], busy: frozenset[int], *, now_ms: int
    ) -> Prepared | Done | None:
        """Prepare the next outbound message that is due.

        Args:
            tx: the transaction; nothing may follow in it.
            channels: the channels.
            busy: organizations that have used their share.
            now_ms: the time in Unix ms.

        Returns:
            None if nothing is due, or all is held back.
        """
        if installation.pause_reason(tx):
            return None
        due = outbox.take(tx, channels, busy, now_ms=now_ms)
        if due is None:
            return None
        row, channel = due.row, self.rules[due.row.channel]
        if outbox.is_lost(due, channel):
            return self._end(tx, due, "unknown", delivery_status.UNKNOWN, "failed", now_ms)
        thread = read_known_threads(tx, row.organization_id, [row.thread_id], self.opt_outs)[row.thread_id]
        if thread.context.reader.cannot == "erased":  # an erasure deletes the address only of settled ones
            if row.audience == "store":
                return self._overtaken(tx, due, "erased", now_ms)
            return self._end(tx, due, "failed", "erased", "failed", now_ms)
        # Other messages, such as an answer to a keyword, are sent although the customer has read them on the website.
        read_sequence = thread.context.read_sequence if row.purpose in _ANSWERED_ELSEWHERE else 0
        if row.purpose in _ANSWERED_ELSEWHERE and (row.last_sequence or 0) <= read_sequence:
            return self._end(tx, due, "skipped", "read", "read", now_ms)
        if self._is_pointless(tx, due, thread):
            return self._overtaken(tx, due, "answered", now_ms)
        if row.first_sequence is not None:
            places = carried(tx, row)
            if not places:  # another one carried them, or retention has deleted them
                return self._overtaken(tx, due, "nothing", now_ms)
            new, _ = read_lines(tx, row, read_sequence)
            last = new[-1].sequence if new else row.last_sequence or 0
            if max(places.values()) > last:
                row = outbox.split(tx, row, last, now_ms=now_ms)
                due = Due(row, due.is_resent)
        reason = self._hindrance(tx, due, thread)
        if reason is not None or row.address is None:
            return self._end(tx, due, "failed", reason or "no_address", "failed", now_ms)
        if row.purpose == business_digest.PURPOSE and row.attempts == 0:
            mailbox = self.opt_outs.hash_of(("STORE", str(thread.business.id)))
            wait = consume_notice(tx, self._notices_per_hour, row.organization_id, mailbox, now_ms=now_ms)
            if wait is not None:
                business_digest.put_off(tx, row, thread.business.id, wait.until_ms, now_ms=now_ms)
                return Done()
        try:
            rendered = self._render(tx, due, thread, row.address, read_sequence, now_ms)
        except ValueError as error:  # an address that cannot get email, or a bug
            log.error(
                "bug",
                job="prepare a message",
                organization=row.organization_id,
                outbound_message=row.id,
                error=type(error).__name__,
            )
            return self._end(tx, due, "failed", "not_valid", "failed", now_ms)
        cost = rendered.segments
        if cost is not None:
            way = (row.channel, row.address)
            refusal = consume(tx, self._budget, row.organization_id, self.opt_outs.hash_of(way), cost, now_ms=now_ms)
            if isinstance(refusal, Wait):
                outbox.put_off(tx, due, refusal.until_ms)
                return Done()
            if isinstance(refusal, QuotaExhausted):
                return self._end(tx, due, "failed", "daily_cap", "failed", now_ms)
        changes = (
            business_digest.leave_out_answered(tx, row, now_ms=now_ms) if row.purpose == business_digest.PURPOSE else []
        )
        if row.purpose in _ANSWERED_ELSEWHERE:  # the rest is sent without those that have been read
            place = (row.organization_id, row.id, "read")
            changes = delivery_status.settle(tx, *place, up_to_sequence=read_sequence, now_ms=now_ms)
        started = outbox.start(tx, due, channel, cost, now_ms=now_ms)
        delivery_status.record_changes(tx, row.organization_id, changes, now_ms=now_ms)
        return Prepared(started, rendered.item)

    def _end(self, tx: Connection, due: Due, state: str, reason: str, delivery: str, now_ms: int) -> Done:
        changes = outbox.end(tx, due.row, state, reason, delivery, now_ms=now_ms)
        delivery_status.record_changes(tx, due.row.organization_id, changes, now_ms=now_ms)
        return Done()

    def _overtaken(self, tx: Connection, due: Due, reason: str, now_ms: int) -> Done:
        """Skip an outbound message.

        An email to the business may stand for other waiting conversations.
        """
        passed = (
            business_digest.pass_on(tx, due.row, now_ms=now_ms) if due.row.purpose == business_digest.PURPOSE else None
        )
        if passed is None:
            return self._end(tx, due, "skipped", reason, "read", now_ms)
        delivery_status.record_changes(tx, due.row.organization_id, passed, now_ms=now_ms)
        return Done()

    def _is_pointless(self, tx: Connection, due: Due, thread: KnownThread) -> bool:
        """Whether a later event made the message pointless."""
        row = due.row
        if row.purpose == business_digest.PURPOSE:
            is_answered = thread.context.last_reply_sequence >= (row.last_sequence or 0)
            return thread.context.status != "waiting" or is_answered
        if row.purpose == "survey":
            c = surveys.c
            asked = tx.execute(
                surveys.select().where(c.organization_id == row.organization_id, c.id == row.survey_id)
            ).first()
            return asked is None or asked.answered_at_ms is not None or thread.context.status != "resolved"
        return False

    def _hindrance(self, tx: Connection, due: Due, thread: KnownThread) -> str | None:
        row = due.row
        if row.audience == "customer" and thread.context.reader.cannot:
            return thread.context.reader.cannot
        # It was created before the provider was removed from the settings.
        channel = self.rules[row.channel]
        if channel.hindrance is not None:
            return channel.hindrance
        if row.purpose in _ASKED_FOR or row.address is None:
            return None
        try:
            address = identity_value(channel.identity_kind, row.address)
        except ValueError:
            return "not_valid"
        way = (row.channel, address)
        return "opted_out" if self.opt_outs.among(tx, row.organization_id, [way]) else None

    def _render(
        self, tx: Connection, due: Due, thread: KnownThread, address: str, read_sequence: int, now_ms: int
    ) -> Rendered:
        row = due.row

        def make_link() -> str:
            token = self._links.make(tx, row.organization_id, row.thread_id, row.channel, address, now_ms=now_ms)
            return f"{self._urls.base}{PATH}{token}"

        new, earlier = read_lines(tx, row, read_sequence)
        notification = Notification(row, thread, address, new, earlier, make_link)
        return self._channels[row.channel].render(tx, notification)
