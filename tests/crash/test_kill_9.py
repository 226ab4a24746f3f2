"""``kill -9`` of a server under load loses no acknowledged message.

``SHOPBELL_CRASH_KILLS`` says how often; ``make crash`` does it 100 times on each engine.
"""

import os
import random
import time
from dataclasses import replace

import pytest
from broken_servers import program

from harness.installation import Installation, ServerProcess
from harness.record import Findings, Load, Record, examine
from harness.world import World

KILLS = int(os.environ.get("SHOPBELL_CRASH_KILLS", "20"))
KILLS_OF_A_CONTROL = 3
LONGEST_S = 0.3
"""Each kill comes after a few answers and at most so many seconds of load."""


def _kill_again_and_again(installation: Installation, record: Record, kills: int) -> int:
    """Start, load, kill, repeat what was not answered, until half of so many kills came while a message was under way.

    Returns:
        In how many that was so; below half only when twice as many kills did not do.
    """
    server = ServerProcess(installation)
    hits = 0
    try:
        for done in range(2 * kills):
            if done >= kills and hits >= kills / 2:
                break
            server.start()
            record.repeat_unanswered(server.port)
            before = len(record.unanswered)
            with Load(server.port, record) as load:
                load.wait_for(200, 20)
                time.sleep(random.uniform(0, LONGEST_S))
                server.kill()
            hits += len(record.unanswered) > before
        server.start()
        repeated = record.repeat_unanswered(server.port)
        assert repeated or not [sending for sending in record.unanswered if sending.key]
    finally:
        server.stop()
    return hits


def _examine(installation: Installation, record: Record) -> Findings:
    return examine(record, installation.database.rows)


def test_kill_9_loses_doubles_or_splits_no_acknowledged_message(installation: Installation, people: World) -> None:
    record = Record(people.token, (people.boston, people.paris))
    hits = _kill_again_and_again(installation, record, KILLS)
    assert hits >= KILLS / 2, f"only {hits} of {KILLS} kills came while a message was under way"
    assert set(record.statuses()) <= {200, 503}
    _examine(installation, record).check()
    keyed = [sending for sending in record.sendings if sending.key]
    assert all(sending.acknowledged for sending in keyed), "with a key every message can be brought home"


def test_control_a_response_before_the_commit_is_detected(installation: Installation, people: World) -> None:
    record = Record(people.token, (people.boston, people.paris))
    broken = replace(installation, server_program=program("answers_before_the_commit"))
    _kill_again_and_again(broken, record, KILLS_OF_A_CONTROL)
    findings = _examine(installation, record)
    assert findings.lost, f"none of {findings.acknowledged} messages acknowledged too early was lost"
    with pytest.raises(AssertionError, match=r"^\d+ lost, n = \d+ acknowledged"):
        findings.check()
