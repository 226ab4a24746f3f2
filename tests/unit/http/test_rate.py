"""The rate limiter allows a burst and a sustained rate."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopbell.errors import QuotaExceeded
from shopbell.http.request.rate_limit import RateLimit

CAROL, DAVE = 1, 2
rates = st.integers(1, 1_000_000)


def test_a_burst_is_allowed_and_then_the_rate_applies() -> None:
    limit = RateLimit(rate_per_s=10, burst=3)
    assert [limit.take(CAROL, 100.0).granted for _ in range(4)] == [True, True, True, False]
    assert [limit.take(CAROL, 100.1).granted for _ in range(2)] == [True, False]
    assert [limit.take(CAROL, 200.0).granted for _ in range(4)] == [True, True, True, False]


def test_each_token_has_its_own_limit() -> None:
    limit = RateLimit(rate_per_s=1, burst=1)
    assert limit.take(CAROL, 5.0).granted
    assert not limit.take(CAROL, 5.0).granted
    assert limit.take(DAVE, 5.0).granted


def test_the_headers_show_the_policy_and_the_remaining_requests() -> None:
    limit = RateLimit(rate_per_s=100, burst=200)
    allowance = limit.take(CAROL, 0.0)
    assert dict(allowance.headers) == {
        b"ratelimit-policy": b'"token";q=200;w=2',
        b"ratelimit": b'"token";r=199;t=1',
    }
    for left in range(198, -1, -1):
        assert dict(limit.take(CAROL, 0.0).headers)[b"ratelimit"].startswith(b'"token";r=%d;' % left)
    assert dict(limit.take(CAROL, 0.0).headers)[b"ratelimit"] == b'"token";r=0;t=1'


def test_a_refusal_says_when_to_retry_and_does_not_count() -> None:
    limit = RateLimit(rate_per_s=1, burst=2)
    assert limit.take(CAROL, 0.0).granted
    assert limit.take(CAROL, 0.0).granted
    refused = [limit.take(CAROL, 0.0) for _ in range(100)]
    assert not any(allowance.granted for allowance in refused)
    assert {allowance.retry_after_s for allowance in refused} == {1}
    with pytest.raises(QuotaExceeded):
        refused[0].check()
    assert limit.take(CAROL, 1.0).granted


@settings(deadline=None)  # what others do on the machine is no fault of it
@given(rates, st.integers(1, 2_000))
def test_exactly_the_burst_is_allowed_at_one_moment(rate_per_s: int, burst: int) -> None:
    limit = RateLimit(rate_per_s, burst)
    assert [limit.take(CAROL, 12_345.678).granted for _ in range(burst + 1)] == [True] * burst + [False]


@given(
    rate_per_s=st.integers(1, 100),
    burst=st.integers(1, 20),
    pauses_ms=st.lists(st.integers(0, 500), min_size=1, max_size=150),
)
def test_no_window_allows_more_than_burst_and_rate(rate_per_s: int, burst: int, pauses_ms: list[int]) -> None:
    limit = RateLimit(rate_per_s, burst)
    now_ms, granted_ms = 0, []
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        if limit.take(CAROL, now_ms / 1000).granted:
            granted_ms.append(now_ms)
    for begin, start_ms in enumerate(granted_ms):
        for end, end_ms in enumerate(granted_ms[begin:], start=1):
            assert end <= burst + rate_per_s * (end_ms - start_ms) / 1000 + 1e-6


@settings(deadline=None)
@given(rates, st.integers(1, 2_000), st.floats(0, 10**7))
def test_a_client_that_waits_as_told_is_allowed(rate_per_s: int, burst: int, now_s: float) -> None:
    limit = RateLimit(rate_per_s, burst)
    while (allowance := limit.take(CAROL, now_s)).granted:
        pass
    assert allowance.retry_after_s >= 1
    assert limit.take(CAROL, now_s + allowance.retry_after_s).granted


@given(rates, st.integers(1, 300))
def test_the_reported_remaining_requests_are_allowed(rate_per_s: int, burst: int) -> None:
    limit = RateLimit(rate_per_s, burst)
    left = [
        int(dict(limit.take(CAROL, 1.0).headers)[b"ratelimit"].split(b"r=")[1].split(b";")[0]) for _ in range(burst)
    ]
    assert left[-1] == 0
    assert all(before - after == 1 for before, after in pairwise(left))


@given(rates, rates)
def test_the_policy_consists_of_integers(rate_per_s: int, burst: int) -> None:
    policy = dict(RateLimit(rate_per_s, burst).take(CAROL, 0.0).headers)[b"ratelimit-policy"].decode()
    assert policy == f'"token";q={burst};w={math.ceil(burst / rate_per_s)}'
