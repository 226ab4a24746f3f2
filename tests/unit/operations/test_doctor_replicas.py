"""``shopbell doctor`` judges PostgreSQL's replicas."""

import pytest

from shopbell.operations.doctor.findings import Level
from shopbell.operations.doctor.replicas import Replica, judge_replicas, judge_servers

PARIS = Replica("paris", "streaming", "sync", 0)
ROME = Replica("rome", "streaming", "potential", 4_096)
OSLO = Replica("oslo", "catchup", "quorum", 10**9)
LIMA = Replica("lima", "streaming", "async", 0)
HIDDEN = Replica("paris", None, None, None)


@pytest.mark.parametrize(
    ("names", "replicas", "is_expected", "level", "words"),
    [
        ("", [], False, Level.OK, "none"),
        ("", [], True, Level.WARNING, "none is connected"),
        ("", [LIMA], False, Level.WARNING, "a failover can lose messages that were confirmed"),
        ("paris", [PARIS], True, Level.OK, "commits wait for 1 of paris (streaming, sync, 0 bytes behind)"),
        ("FIRST 1 (paris, rome)", [PARIS, ROME], True, Level.OK, "rome (streaming, potential, 4096 bytes behind)"),
        ("first 2 (paris, rome)", [PARIS], True, Level.ERROR, "commits wait for 2, and 1 can confirm them"),
        ("2 (paris, rome)", [PARIS], True, Level.ERROR, "commits wait for 2, and 1 can confirm them"),
        ("ANY 1 (*)", [OSLO], True, Level.ERROR, "every message is refused"),
        ("ANY 1 (*)", [], False, Level.ERROR, "every message is refused"),
        (" paris", [LIMA], True, Level.ERROR, "every message is refused"),
        ("paris", [HIDDEN], True, Level.WARNING, "may not see the state"),
    ],
)
def test_a_failover_that_can_lose_messages_is_reported(
    names: str, replicas: list[Replica], is_expected: bool, level: Level, words: str
) -> None:
    finding = judge_replicas(names, replicas, is_expected=is_expected)
    assert (finding.level, words in finding.detail) == (level, True), finding
    assert bool(finding.remedy) is (level is not Level.OK)


def test_two_servers_that_accept_writes_are_an_error() -> None:
    levels = [finding.level for finding in judge_servers({"a": "primary", "b": "replica", "c": "primary"})]
    assert levels == [Level.ERROR, Level.OK, Level.ERROR]
    assert [finding.level for finding in judge_servers({"a": "primary", "b": "replica"})] == [Level.OK, Level.OK]


def test_the_only_server_is_not_judged() -> None:
    assert list(judge_servers({"a": "primary"})) == []
