"""The growth of memory that a long run reports."""

import os
import subprocess
import sys

import pytest
from bench.steady import Sample, growth_mb_per_minute, sample

STARTS_ANOTHER = """
import subprocess, sys
other = subprocess.Popen([sys.executable, "-c", "input()"])
print(flush=True)
other.communicate()
"""
"""A process that starts one more."""


def held(resident_mb: list[float]) -> list[Sample]:
    """One sample for each minute."""
    return [Sample(minute, mb, mb, 20, 5) for minute, mb in enumerate(resident_mb, 1)]


def test_growth_is_the_slope_of_the_samples() -> None:
    assert growth_mb_per_minute(held([100, 102, 104, 106])) == pytest.approx(2)


def test_memory_that_goes_up_and_down_does_not_grow() -> None:
    assert growth_mb_per_minute(held([100, 104, 100, 104, 100])) == pytest.approx(0)


def test_one_sample_shows_no_growth() -> None:
    assert growth_mb_per_minute(held([100])) == 0


def test_a_sample_describes_a_process_and_those_that_it_started() -> None:
    alone = sample(os.getpid(), 1)
    assert 5 < alone.own_mb < alone.resident_mb
    assert alone.descriptors > 2
    # Threads of other tests may end here: two other processes are counted.
    command = [sys.executable, "-c", STARTS_ANOTHER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert sample(parent.pid, 1).threads == 2
        parent.communicate()
