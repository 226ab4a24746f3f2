"""The guard against a hot path that costs more."""

import json

from bench.instructions import COUNTED, ROWS, STORED, Counts, increases

BEFORE: Counts = {
    "message": {"python": 4_000, "sqlite": 500, "statements": 10},
    "delivery": {"python": 20_000, "sqlite": 600, "statements": 72},
}


def test_counts_that_rose_by_five_percent_pass() -> None:
    now: Counts = {row: {name: count * 1.05 for name, count in counts.items()} for row, counts in BEFORE.items()}
    assert increases(BEFORE, now) == []


def test_a_count_that_rose_more_is_reported_with_both_numbers() -> None:
    now: Counts = {**BEFORE, "message": {"python": 4_300, "sqlite": 450, "statements": 10}}
    assert increases(BEFORE, now) == [
        "a message to the widget route: Python instructions, of the product and its libraries: 4,000 → 4,300 (+7.5%)"
    ]


def test_one_more_statement_for_each_batch_is_reported() -> None:
    now: Counts = {**BEFORE, "message": BEFORE["message"] | {"statements": 11}}
    assert len(increases(BEFORE, now)) == 1


def test_fewer_instructions_pass() -> None:
    now: Counts = {row: {name: count / 2 for name, count in counts.items()} for row, counts in BEFORE.items()}
    assert increases(BEFORE, now) == []


def test_counts_of_all_rows_are_stored() -> None:
    counts = json.loads(STORED.read_text())["counts"]
    assert set(counts) == set(ROWS)
    assert all(set(each) == set(COUNTED) for each in counts.values())
