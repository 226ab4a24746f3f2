"""The simulation sends as many messages as it was told, and ends in time."""

from bench.shops import share
from bench.simulate import Schedule

FAR_S = float("inf")


def test_a_schedule_gives_each_message_one_time() -> None:
    schedule = Schedule(messages=3, per_s=1e9, deadline_s=FAR_S)
    assert [schedule.take() for _ in range(5)] == [True, True, True, False, False]


def test_no_message_is_sent_after_the_deadline() -> None:
    assert not Schedule(messages=3, per_s=1e9, deadline_s=0.0).take()


def test_the_sizes_of_organizations_follow_zipfs_law() -> None:
    assert [share(number) for number in (0, 1, 9)] == [1, 1 / 2, 1 / 10]
