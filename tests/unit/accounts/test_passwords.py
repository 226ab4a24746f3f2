"""Passwords: what is stored, what matches, and which are refused."""

import asyncio
import time

import pytest

from shopbell.accounts.passwords import MAX_CHARACTERS, PasswordHashing, check_new, hash_password, is_password
from shopbell.errors import Invalid

GOOD = "correct horse battery"


def test_a_password_matches_its_hash_alone() -> None:
    stored = hash_password(GOOD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert is_password(stored, GOOD)
    assert not is_password(stored, GOOD + "x")
    assert not is_password(stored, "")
    assert not is_password(None, "")


def test_accents_match_however_the_keyboard_writes_them() -> None:
    assert is_password(hash_password("caf\u00e9 au lait"), "cafe\u0301 au lait")


def test_a_password_that_is_too_long_is_not_hashed_whole() -> None:
    assert not is_password(hash_password(GOOD), GOOD * MAX_CHARACTERS)


def test_an_unknown_account_costs_as_much_as_a_known_one() -> None:
    stored = hash_password(GOOD)

    def cpu_ns(hashed: str | None) -> int:
        began = time.thread_time_ns()
        is_password(hashed, "wrong")
        return time.thread_time_ns() - began

    known = sorted(cpu_ns(stored) for _ in range(9))[4]
    unknown = sorted(cpu_ns(None) for _ in range(9))[4]
    assert unknown > known / 2  # without a check it would be a thousandth


def test_one_account_costs_as_much_as_several() -> None:
    hashing, stored = PasswordHashing(), [hash_password(GOOD), *(hash_password("another") for _ in range(4))]

    def cpu_ns(*hashes: str) -> int:
        began = time.process_time_ns()  # of all threads
        matches = asyncio.run(hashing.match_each(hashes, GOOD, checks=len(stored)))
        assert matches == [each == stored[0] for each in hashes]
        return time.process_time_ns() - began

    several = sorted(cpu_ns(*stored) for _ in range(3))[1]
    one, none = (sorted(cpu_ns(*hashes) for _ in range(3))[1] for hashes in (stored[:1], ()))
    hashing.close()
    assert min(one, none) > several / 2  # without the padding it would be a fifth


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "too_short"),
        ("x" * (MAX_CHARACTERS + 1), "too_long"),
        ("aaaaaaaaaaaa", "too_easy"),
        ("1234567890", "too_easy"),
        ("alice@staff.example", "too_easy"),
        ("Alice Miller", "too_easy"),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(password: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_new(password, "Alice Miller", "alice@staff.example", None)
    assert [error.code for error in refused.value.errors] == [code]
    assert password not in str(refused.value)


def test_a_good_password_is_accepted() -> None:
    check_new(GOOD, "Alice Miller", "alice@staff.example", None)
