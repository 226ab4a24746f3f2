"""Decides when a delivery is tried again, when it is given up, and which webhook is next. Pure.

``workers/webhook_worker.py`` asks for the outcome of an attempt: ``Delivered``, ``TryAgain`` or ``GiveUp``.
``webhooks/settle.py`` stores it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Literal

RETRY_AFTER_MAX_S = 86_400
"""The longest pause that a receiver can ask for."""

GONE = 410


@dataclass(slots=True)
class Attempt:
    """The result of one attempt.

    Args:
        at_ms: when it started, in Unix ms.
        status: the HTTP status of the response; None without one.
        error: why there was no response, as the delivery log names it.
        answer: the beginning of the response, as text.
        retry_after: the header of that name, as received.
    """

    at_ms: int
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx. Redirects are not followed and count as failures."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver accepted it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It is due again at this time, in Unix ms."""

    due_at_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is not tried again: ``exhausted`` after the last attempt, ``skipped`` if the receiver is gone."""

    state: Literal["exhausted", "skipped"]
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """It was claimed but not sent. The next claim continues its schedule."""


Outcome = Delivered | TryAgain | GiveUp | NotSent


def decide(
    attempt: Attempt, step: int, *, now_ms: int, pauses_s: Sequence[float], jitter: float, chance: float
) -> Delivered | TryAgain | GiveUp:
    """Decide on the outcome of an attempt.

    Args:
        attempt: its result.
        step: how many attempts of this schedule were made before, from 0.
        now_ms: when it ended, in Unix ms.
        pauses_s: the pause before each attempt; the first one is after the event.
        jitter: the share by which pauses vary, 0 to 0.9.
        chance: a random number from 0 to 1.

    Returns:
        The outcome. ``Retry-After`` can only lengthen a pause, up to 24 h.
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
    """How long a receiver asks to wait (RFC 9110: seconds or a date).

    Returns:
        0 to 86,400 seconds; 0 if the header is not valid.
    """
    said = (header or "").strip()
    if said.isascii() and said.isdigit():
        # Parsing a number with thousands of digits takes long.
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
    """Whether to disable a webhook because it has failed for too long.

    Args:
        failing_since_ms: the first failure since the last success, in Unix ms.
        failures: how many attempts have failed since then.
        after_days: the least days without a success.
        after_failures: the least number of failures.
    """
    return failures >= after_failures and now_ms - failing_since_ms >= after_days * 86_400_000


WebhookKey = tuple[int, int]
"""Organization and webhook."""


def share(
    room: Mapping[WebhookKey, int], *, free: int, busy: Mapping[int, int], last_served: int
) -> dict[WebhookKey, int]:
    """Share a worker's free slots by turns among organizations, and by turns among the webhooks of each.

    No organization uses more slots than it leaves free. So an organization whose receivers all hang cannot use up the
    slots, and others are served at once.

    Args:
        room: the number of free slots of each webhook with due deliveries, 0 or more.
        free: the worker's free slots.
        busy: how many slots each organization uses at this worker.
        last_served: the organization that was served last; the next one is first now.

    Returns:
        The number of deliveries to claim for each webhook; webhooks without any are left out.
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
