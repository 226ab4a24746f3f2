"""When a delivery is tried again, when it is given up, and whose turn it is: decisions without doing. Pure.

An outcome is a value: ``Delivered``, ``TryAgain`` or ``GiveUp``. ``worker.py`` lets it be decided here, and
``outbox/settlements.py`` writes it down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Literal

RETRY_AFTER_MAX_S = 86_400
"""The longest pause that a receiver may ask for."""

GONE = 410


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt.

    Args:
        at_ms: when it began, in Unix ms.
        duration_ms: how long it took.
        status: the HTTP status of the answer; None without one.
        error: the class of what went wrong without an answer, as the delivery log names it.
        answer: how the answer began, as text.
        retry_after: the answer's header of that name, as it came.
    """

    at_ms: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Only 2xx is: a redirect is not followed, and whoever sends one has not received."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It is due again then, in Unix ms."""

    due_at_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It will not be tried again: ``exhausted`` after the last attempt, ``skipped`` when the receiver is gone."""

    state: Literal["exhausted", "skipped"]
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """It was claimed, and nothing was sent: whoever claims it next begins where this left off."""


Outcome = Delivered | TryAgain | GiveUp | NotSent


def decide(
    attempt: Attempt, step: int, *, now_ms: int, pauses_s: Sequence[float], jitter: float, chance: float
) -> Delivered | TryAgain | GiveUp:
    """What follows from an attempt.

    Args:
        attempt: what came of it.
        step: how many attempts of this schedule came before it, from 0.
        now_ms: when it ended, in Unix ms.
        pauses_s: seconds before each attempt, the first one's from the event on.
        jitter: share by which a pause is longer or shorter, 0 to 0.9.
        chance: where in that share, 0 to 1.

    Returns:
        The outcome. A ``Retry-After`` lengthens a pause, up to 24 h, and never shortens one.
    """
    if attempt.is_success:
        return Delivered()
    if attempt.status == GONE:
        return GiveUp("skipped", is_gone=True)
    if step + 1 >= len(pauses_s):
        return GiveUp("exhausted")
    pause_s = pauses_s[step + 1] * (1 + jitter * (2 * chance - 1))
    return TryAgain(now_ms + ceil(1_000 * max(pause_s, retry_after_s(attempt.retry_after, now_ms))))


def retry_after_s(header: str | None, now_ms: int) -> float:
    """How long a receiver asks us to wait (RFC 9110: seconds, or a date).

    Returns:
        0 to 86,400 seconds; 0 for what cannot be read.
    """
    said = (header or "").strip()
    if said.isascii() and said.isdigit():
        # A number of thousands of digits is no number of seconds either, and takes long to read.
        return min(int(said[:10]), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(said)
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0
    seconds = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - now_ms / 1_000
    return min(max(seconds, 0), RETRY_AFTER_MAX_S)


def is_to_be_disabled(
    failing_since_ms: int, failures: int, *, now_ms: int, after_days: float, after_failures: int
) -> bool:
    """Whether a webhook has failed for so long, and so often, that it is switched off.

    Args:
        failing_since_ms: the first failure after the last success.
        failures: how many attempts have failed since.
        now_ms: the time in Unix ms.
        after_days: days without a success.
        after_failures: fewest failures.
    """
    return failures >= after_failures and now_ms - failing_since_ms >= after_days * 86_400_000


WebhookKey = tuple[int, int]
"""Organization and webhook."""


def share(
    room: Mapping[WebhookKey, int], *, free: int, busy: Mapping[int, int], last_served: int
) -> dict[WebhookKey, int]:
    """Share a worker's free slots: in turn among organizations, and within each in turn among its webhooks.

    No organization holds more slots than it leaves free, so that one whose receivers all hang never has them all, and
    whoever comes next is served at once.

    Args:
        room: how many more deliveries each webhook that has some due may have under way, 0 or more.
        free: the worker's free slots.
        busy: how many slots each organization holds at this worker.
        last_served: the organization that was served last: the one after it is first now.

    Returns:
        How many deliveries to claim for each webhook; those that get none are left out.
    """
    turns: dict[int, list[WebhookKey]] = {}
    for key in sorted(room):
        if room[key] > 0:
            turns.setdefault(key[0], []).append(key)
    order = sorted(turns, key=lambda organization_id: (organization_id <= last_served, organization_id))
    given: dict[WebhookKey, int] = {}
    held = dict(busy)
    while free > 0 and order:
        for organization_id in list(order):
            if free <= 0 or held.get(organization_id, 0) >= free:
                order.remove(organization_id)
                continue
            webhooks = turns[organization_id]
            key = webhooks.pop(0)
            given[key] = given.get(key, 0) + 1
            held[organization_id] = held.get(organization_id, 0) + 1
            free -= 1
            if given[key] < room[key]:
                webhooks.append(key)
            elif not webhooks:
                order.remove(organization_id)
    return given
