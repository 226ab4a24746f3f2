"""Retry schedule and slot allocation, as pure decisions."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopbell.settings.settings import Settings
from shopbell.webhooks.retry_policy import (
    Attempt,
    Delivered,
    GiveUp,
    Outcome,
    TryAgain,
    decide,
    is_to_be_disabled,
    retry_after_s,
    share,
)

NOW_MS = 1_700_000_000_000
PAUSES_S = Settings.model_fields["delivery_schedule_s"].default
DAY_MS = 86_400_000
FAILED = Attempt(NOW_MS, 10, status=500)


def _decide(
    attempt: Attempt, step: int = 0, *, now_ms: int = NOW_MS, jitter: float = 0, chance: float = 0.5
) -> Outcome:
    return decide(attempt, step, now_ms=now_ms, pauses_s=PAUSES_S, jitter=jitter, chance=chance)


def _pause_s(outcome: Outcome) -> float:
    assert isinstance(outcome, TryAgain)
    return (outcome.due_at_ms - NOW_MS) / 1_000


def test_a_delivery_that_always_fails_is_tried_for_103_hours_42_minutes_and_35_seconds() -> None:
    now_ms, attempts = NOW_MS, 0
    while True:
        attempts += 1
        outcome = _decide(FAILED, attempts - 1, now_ms=now_ms)
        if not isinstance(outcome, TryAgain):
            break
        now_ms = outcome.due_at_ms
    assert outcome == GiveUp("exhausted")
    assert attempts == 14
    assert (now_ms - NOW_MS) / 1_000 == 103 * 3_600 + 42 * 60 + 35


def test_a_pause_varies_by_at_most_a_fifth() -> None:
    pauses = [_pause_s(_decide(FAILED, 4, jitter=0.2, chance=chance)) for chance in (0, 0.5, 1)]
    assert pauses == [1_440, 1_800, 2_160]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_a_success(status: int) -> None:
    assert _decide(Attempt(NOW_MS, 1, status=status)) == Delivered()


@pytest.mark.parametrize("status", [101, 199, 300, 301, 302, 304, 307, 400, 401, 404, 408, 409, 429, 500, 502, 503])
def test_any_other_status_is_retried_including_redirects(status: int) -> None:
    assert _pause_s(_decide(Attempt(NOW_MS, 1, status=status))) == 5


def test_a_missing_response_is_retried() -> None:
    assert _pause_s(_decide(Attempt(NOW_MS, 1, error="timeout"))) == 5


def test_a_410_disables_the_webhook_at_once() -> None:
    assert _decide(Attempt(NOW_MS, 1, status=410)) == GiveUp("skipped", is_gone=True)


def test_retry_after_only_lengthens_a_pause() -> None:
    def after(header: str, step: int) -> float:
        return _pause_s(_decide(Attempt(NOW_MS, 1, status=503, retry_after=header), step))

    assert after("90", 0) == 90
    assert after("1", 0) == 5
    assert after("90", 5) == 3_600
    assert after("999999999", 0) == 86_400


def test_retry_after_may_be_a_date() -> None:
    at = datetime.fromtimestamp(NOW_MS / 1_000 + 120, UTC)
    assert retry_after_s(at.strftime("%a, %d %b %Y %H:%M:%S GMT"), NOW_MS) == 120
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", NOW_MS) == 0
    assert retry_after_s("Fri, 31 Dec 9999 23:59:59 GMT", NOW_MS) == 86_400


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,5} [A-Z][a-z]{2} \d{1,9} [\d:]{1,12} .{0,6}"))
def test_no_retry_after_value_causes_harm(header: str) -> None:
    assert 0 <= retry_after_s(header, NOW_MS) <= 86_400


def test_a_retry_after_of_ten_thousand_digits_is_the_longest_pause() -> None:
    assert retry_after_s("9" * 10_000, NOW_MS) == 86_400


def test_a_webhook_is_disabled_only_after_days_and_attempts() -> None:
    def disabled(days: float, failures: int) -> bool:
        since_ms = round(NOW_MS - days * DAY_MS)
        return is_to_be_disabled(since_ms, failures, now_ms=NOW_MS, after_days=5, after_failures=20)

    assert disabled(5, 20)
    assert not disabled(4.99, 2_000)
    assert not disabled(100, 19)


def test_slots_alternate_between_organizations_and_then_their_webhooks() -> None:
    room = {(1, 10): 8, (1, 11): 8, (1, 12): 8, (2, 20): 8}
    assert share(room, free=3, busy={}, last_served=0) == {(1, 10): 1, (2, 20): 1}
    assert share(room, free=8, busy={}, last_served=0) == {(1, 10): 1, (1, 11): 1, (1, 12): 1, (2, 20): 3}


def test_the_organization_after_the_last_one_is_served_first() -> None:
    room = {(organization_id, 10 * organization_id): 1 for organization_id in (1, 2, 3)}
    assert share(room, free=1, busy={}, last_served=1) == {(2, 20): 1}
    assert share(room, free=1, busy={}, last_served=3) == {(1, 10): 1}


def test_a_webhook_gets_only_its_free_slots() -> None:
    assert share({(1, 10): 3, (1, 11): 0}, free=64, busy={}, last_served=0) == {(1, 10): 3}


def test_an_organization_with_hanging_receivers_leaves_half_of_the_slots_free() -> None:
    room = {(1, webhook_id): 8 for webhook_id in range(50)}
    taken = sum(share(room, free=64, busy={}, last_served=0).values())
    assert taken == 32
    assert share(room, free=64 - taken, busy={1: taken}, last_served=1) == {}
    assert share(room | {(2, 99): 8}, free=64 - taken, busy={1: taken}, last_served=1) == {(2, 99): 8}


def test_a_worker_with_one_slot_works() -> None:
    assert share({(1, 10): 8}, free=1, busy={}, last_served=1) == {(1, 10): 1}
    assert share({(1, 10): 8}, free=0, busy={}, last_served=1) == {}


@given(
    st.dictionaries(st.tuples(st.integers(1, 6), st.integers(1, 9)), st.integers(0, 8)),
    st.integers(0, 64),
    st.dictionaries(st.integers(1, 6), st.integers(0, 20)),
    st.integers(0, 7),
)
def test_no_slot_is_assigned_twice_and_no_limit_is_exceeded(
    room: dict[tuple[int, int], int], free: int, busy: dict[int, int], last_served: int
) -> None:
    slots = share(room, free=free, busy=busy, last_served=last_served)
    assert all(0 < count <= room[key] for key, count in slots.items())
    assert sum(slots.values()) <= free
    got: Counter[int] = Counter()
    for (organization_id, _), count in slots.items():
        got[organization_id] += count
    for organization_id in got:
        # Before its last slot it held fewer than were free then, its last one among them.
        assert busy.get(organization_id, 0) + got[organization_id] - 1 < free
    if free and any(room.values()) and not busy:
        assert slots
