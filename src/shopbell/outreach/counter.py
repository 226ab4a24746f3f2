"""From a due dispatch to the thing that is sent: looked at once more, paid for, written, and counted as an attempt."""

from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

from shopbell import identity, installation
from shopbell.customer_links import PATH, CustomerLinks
from shopbell.keys import Keys
from shopbell.mail.compose import compose
from shopbell.mail.outgoing import OutgoingMail
from shopbell.opt_outs import OptOuts
from shopbell.outreach import deliveries, dispatches, notices
from shopbell.outreach.budgets import Budget, Spent, Wait, spend, spend_notice
from shopbell.outreach.dispatches import Due, Started
from shopbell.outreach.facts import Known, read_facts
from shopbell.outreach.letters import Office, carried
from shopbell.outreach.rules import rules_of
from shopbell.settings import Settings
from shopbell.storage.customer_schema import surveys
from shopbell.texting.outgoing import OutgoingText
from shopbell.texting.segments import segments

_ANSWERED_ELSEWHERE = ("reply", "auto-reply", "welcome")
_ASKED_FOR = ("link",)
"""What somebody has just asked for himself, a new link or to be left alone, is answered although he wants nothing
else."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Packed:
    """A thing that is sent next; its attempt is counted."""

    started: Started
    item: OutgoingMail | OutgoingText


class Done:
    """A dispatch needed no sending; there may be more."""


class Counter:
    """Packs what is due.

    Args:
        settings: those of this process.
        keys: the installation's keys.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.opt_outs = OptOuts(keys)
        self._office = Office(settings, keys)
        self._links = CustomerLinks(keys)
        self._rules = rules_of(settings)
        self._budget = Budget(settings.sms_segments_per_day, settings.sms_cooldown_s * 1_000)
        self._notices_per_hour = settings.store_mails_per_hour
        self._mail_lease_ms = round(2_000 * (settings.smtp_timeout_s + settings.smtp_connect_timeout_s))
        self._text_lease_ms = round(1_000 * settings.delivery_lease_s)

    def pack(
        self, tx: Connection, channels: tuple[str, ...], busy: frozenset[int], *, now_ms: int
    ) -> Packed | Done | None:
        """Take the next dispatch that is due, and make what is sent of it.

        Args:
            tx: the transaction; nothing may follow in it.
            channels: by which it goes.
            busy: organizations that have their share already.
            now_ms: the time in Unix ms.

        Returns:
            None when nothing is due, or all is held back.
        """
        if installation.held_back(tx):
            return None
        due = dispatches.take(tx, channels, busy, now_ms=now_ms)
        if due is None:
            return None
        row = due.row
        if dispatches.is_lost(due):
            return self._end(tx, due, "unknown", deliveries.UNKNOWN, "failed", now_ms)
        thread = read_facts(tx, row.organization_id, [row.thread_id], self.opt_outs)[row.thread_id]
        if thread.facts.reader.cannot == "erased":  # only so its address goes, too
            if row.audience == "store":
                return self._overtaken(tx, due, "erased", now_ms)
            return self._end(tx, due, "failed", "erased", "failed", now_ms)
        read_sequence = thread.facts.read_sequence
        if row.purpose in _ANSWERED_ELSEWHERE and (row.last_sequence or 0) <= read_sequence:
            return self._end(tx, due, "skipped", "read", "read", now_ms)
        if self._is_pointless(tx, due, thread):
            return self._overtaken(tx, due, "answered", now_ms)
        if row.first_sequence is not None:
            places = carried(tx, row)
            if not places:  # they went with another, or their time to be kept is over
                return self._overtaken(tx, due, "nothing", now_ms)
            last = self._office.last_with_room(tx, row, read_sequence if row.purpose in _ANSWERED_ELSEWHERE else 0)
            if max(places.values()) > last:
                row = dispatches.split(tx, row, last, now_ms=now_ms)
                due = Due(row, due.is_resent)
        reason = self._hindrance(tx, due, thread)
        if reason is not None or row.address is None:
            return self._end(tx, due, "failed", reason or "no_address", "failed", now_ms)
        if row.purpose == notices.PURPOSE and row.attempts == 0:
            mailbox = self.opt_outs.hash_of(("STORE", str(thread.business.id)))
            wait = spend_notice(tx, self._notices_per_hour, row.organization_id, mailbox, now_ms=now_ms)
            if wait is not None:
                notices.put_off(tx, row, thread.business.id, wait.until_ms, now_ms=now_ms)
                return Done()
        try:
            item = self._make(tx, due, thread, row.address, now_ms)
        except ValueError as error:  # an address that no mail can be sent to, or a mistake of ours
            log.error("bug", job="write", organization=row.organization_id, dispatch=row.id, error=type(error).__name__)
            return self._end(tx, due, "failed", "not_valid", "failed", now_ms)
        cost = None
        if isinstance(item, OutgoingText):
            cost = segments(item.text).count if item.channel == "SMS" else 1
            way = (row.channel, row.address)
            spent = spend(tx, self._budget, row.organization_id, self.opt_outs.hash_of(way), cost, now_ms=now_ms)
            if isinstance(spent, Wait):
                dispatches.put_off(tx, due, spent.until_ms)
                return Done()
            if isinstance(spent, Spent):
                return self._end(tx, due, "failed", "daily_cap", "failed", now_ms)
        changes = notices.leave_out_answered(tx, row, now_ms=now_ms) if row.purpose == notices.PURPOSE else []
        if row.purpose in _ANSWERED_ELSEWHERE and row.channel == "EMAIL":  # the rest of it goes without them
            place = (row.organization_id, row.id, "read")
            changes = deliveries.settle(tx, *place, up_to_sequence=read_sequence, now_ms=now_ms)
        lease_ms = self._mail_lease_ms if row.channel == "EMAIL" else self._text_lease_ms
        started = dispatches.start(tx, due, cost, lease_ms=lease_ms, now_ms=now_ms)
        deliveries.tell(tx, row.organization_id, changes, now_ms=now_ms)
        return Packed(started, item)

    def _end(self, tx: Connection, due: Due, state: str, reason: str, delivery: str, now_ms: int) -> Done:
        changes = dispatches.end(tx, due.row, state, reason, delivery, now_ms=now_ms)
        deliveries.tell(tx, due.row.organization_id, changes, now_ms=now_ms)
        return Done()

    def _overtaken(self, tx: Connection, due: Due, reason: str, now_ms: int) -> Done:
        """Send nothing of what a dispatch is about; a notice may stand for other conversations that wait."""
        passed = notices.pass_on(tx, due.row, now_ms=now_ms) if due.row.purpose == notices.PURPOSE else None
        if passed is None:
            return self._end(tx, due, "skipped", reason, "read", now_ms)
        deliveries.tell(tx, due.row.organization_id, passed, now_ms=now_ms)
        return Done()

    def _is_pointless(self, tx: Connection, due: Due, thread: Known) -> bool:
        """Whether what was to be said has been overtaken."""
        row = due.row
        if row.purpose == notices.PURPOSE:
            is_answered = thread.facts.last_reply_sequence >= (row.last_sequence or 0)
            return thread.facts.status != "waiting" or is_answered
        if row.purpose == "survey":
            c = surveys.c
            asked = tx.execute(
                surveys.select().where(c.organization_id == row.organization_id, c.id == row.survey_id)
            ).first()
            return asked is None or asked.answered_at_ms is not None or thread.facts.status != "resolved"
        return False

    def _hindrance(self, tx: Connection, due: Due, thread: Known) -> str | None:
        row = due.row
        if row.audience == "customer" and thread.facts.reader.cannot:
            return thread.facts.reader.cannot
        # What waits since before a provider was taken out of the settings.
        if (reason := self._rules.hindrance(row.channel)) is not None:
            return reason
        if row.purpose in _ASKED_FOR or row.address is None:
            return None
        try:
            address = identity.normal_email(row.address) if row.channel == "EMAIL" else row.address
        except ValueError:
            return "not_valid"
        way = (row.channel, address)
        return "opted_out" if self.opt_outs.among(tx, row.organization_id, [way]) else None

    def _make(self, tx: Connection, due: Due, thread: Known, address: str, now_ms: int) -> OutgoingMail | OutgoingText:
        row = due.row
        # He who writes by SMS or WhatsApp goes on there; a store answers by mail.
        is_link = row.purpose in ("invitation", "link") and row.first_sequence is None
        is_by_address = row.purpose in ("reply", "auto-reply") and thread.facts.channel == "WEB"
        needs_link = row.audience == "customer" and (row.channel == "EMAIL" or is_link or is_by_address)

        def link() -> str:
            token = self._links.make(tx, row.organization_id, row.thread_id, row.channel, address, now_ms=now_ms)
            return f"{self._office.base_url}{PATH}{token}"

        read_sequence = thread.facts.read_sequence
        if row.channel == "EMAIL":
            seen = read_sequence if row.purpose in _ANSWERED_ELSEWHERE else 0
            url = link() if needs_link else None
            return compose(self._office.letter(tx, row, thread, address, url, read_sequence=seen))
        return self._office.text(tx, row, thread, address, link, needs_link=needs_link, read_sequence=read_sequence)
