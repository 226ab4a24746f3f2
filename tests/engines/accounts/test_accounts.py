"""Employees get in by an invitation, a password, a code or a recovery code, and stay in by a session."""

from collections.abc import Iterator
from dataclasses import replace

import pyotp
import pytest
from sqlalchemy import Connection, text

from harness.installation import SECRET_KEY, Installation
from harness.world import World
from shopbell.accounts import invitations, passwords, recovery, roles, sessions, totp
from shopbell.accounts.roles import LastOwner, MayNotGrant, Roles
from shopbell.errors import NotFound
from shopbell.organizations import employees
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.security.tokens import token_hash

SECRETS = Keys((SECRET_KEY.encode(),))
CIPHER = Cipher(SECRETS, totp.SEALING_PURPOSE)
SESSION_KEYS = SECRETS.derive(sessions.KEY_PURPOSE)
RECOVERY_KEYS = SECRETS.derive(recovery.KEY_PURPOSE)
INVITATION_KEYS = SECRETS.derive(invitations.KEY_PURPOSE)
NOW_MS = 1_800_000_000_000
STEP_MS = totp.STEP_S * 1_000
HOUR_MS = 60 * 60 * 1_000


@pytest.fixture
def tx(installation: Installation) -> Iterator[Connection]:
    with installation.database.connection() as connection:
        yield connection


@pytest.fixture
def acme(people: World) -> int:
    return int(people.acme)


def hired(tx: Connection, organization_id: int, name: str = "Alice") -> int:
    email = f"{name.lower()}@staff.example"
    return employees.create(tx, organization_id, name, email, actor="a test", now_ms=NOW_MS).id


def actions(tx: Connection, organization_id: int) -> list[str]:
    query = "SELECT action FROM audit_entries WHERE organization_id = :o ORDER BY id"

    return [row.action for row in tx.execute(text(query), {"o": organization_id})]


# Sessions


def test_a_session_is_found_by_its_token_and_by_nothing_else(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    session, token = sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="Firefox", now_ms=NOW_MS)
    assert sessions.find(tx, [token_hash(SESSION_KEYS[0], token)]) == session
    assert sessions.find(tx, [token_hash(SESSION_KEYS[0], token[:-1])]) is None
    assert token not in repr(session)


def test_a_session_ends_after_12_idle_hours_and_after_30_days(tx: Connection, acme: int) -> None:
    session, _ = sessions.create(tx, SESSION_KEYS, acme, hired(tx, acme), "full", agent="", now_ms=NOW_MS)
    assert session.is_valid(NOW_MS + 12 * HOUR_MS - 1)
    assert not session.is_valid(NOW_MS + 12 * HOUR_MS)
    busy = replace(session, seen_at_ms=NOW_MS + 30 * 24 * HOUR_MS - 1)
    assert busy.is_valid(NOW_MS + 30 * 24 * HOUR_MS - 1)
    assert not busy.is_valid(NOW_MS + 30 * 24 * HOUR_MS)


def test_a_factor_gives_the_session_a_new_token_once(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    waiting, old = sessions.create(tx, SESSION_KEYS, acme, alice, "code", agent="", now_ms=NOW_MS)
    advanced = sessions.advance(tx, SESSION_KEYS, waiting, "full", now_ms=NOW_MS + 1)
    assert advanced is not None
    session, token = advanced
    assert session.stage == "full"
    assert sessions.find(tx, [token_hash(SESSION_KEYS[0], old)]) is None
    assert sessions.find(tx, [token_hash(SESSION_KEYS[0], token)]) == session
    assert sessions.advance(tx, SESSION_KEYS, waiting, "full", now_ms=NOW_MS + 2) is None


def test_a_session_of_a_deactivated_employee_is_not_found(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    _, token = sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS)
    employees.deactivate(tx, acme, alice, actor="a test", now_ms=NOW_MS)
    assert sessions.find(tx, [token_hash(SESSION_KEYS[0], token)]) is None


def test_ending_all_sessions_spares_the_named_one_and_other_employees(tx: Connection, acme: int) -> None:
    alice, bert = hired(tx, acme), hired(tx, acme, "Bert")
    own = [sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS)[0] for _ in range(3)]
    other, _ = sessions.create(tx, SESSION_KEYS, acme, bert, "full", agent="", now_ms=NOW_MS)
    assert sessions.end_all(tx, acme, alice, but=own[0].id, actor="a test", now_ms=NOW_MS) == 2
    assert sessions.of_employee(tx, acme, alice, now_ms=NOW_MS) == [own[0]]
    assert sessions.of_employee(tx, acme, bert, now_ms=NOW_MS) == [other]
    assert not sessions.end(tx, acme, alice, other.id, now_ms=NOW_MS)
    assert sessions.end(tx, acme, alice, own[0].id, now_ms=NOW_MS)


def test_sessions_that_are_over_are_deleted(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS)
    kept, _ = sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS + HOUR_MS)
    assert sessions.forget_old(tx, NOW_MS + 12 * HOUR_MS) == 1
    assert sessions.of_employee(tx, acme, alice, now_ms=NOW_MS + HOUR_MS) == [kept]


# The second factor


def test_a_code_of_the_app_is_accepted_once(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    app = pyotp.TOTP(totp.start(tx, CIPHER, acme, alice))
    assert not totp.is_set_up(tx, acme, alice)
    assert not totp.use(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)  # not confirmed yet
    assert totp.confirm(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)
    assert totp.is_set_up(tx, acme, alice)
    assert not totp.use(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)  # the code that confirmed it
    later_ms = NOW_MS + STEP_MS
    code = app.at(later_ms // 1_000)
    assert totp.use(tx, CIPHER, acme, alice, f"{code[:3]} {code[3:]}", now_ms=later_ms)
    assert not totp.use(tx, CIPHER, acme, alice, code, now_ms=later_ms)


def test_a_code_is_accepted_one_step_early_or_late_and_no_further(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    app = pyotp.TOTP(totp.start(tx, CIPHER, acme, alice))
    assert totp.confirm(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)
    now_ms = NOW_MS + 20 * STEP_MS
    for steps, accepted in ((-2, False), (-1, True), (2, False), (1, True), (0, False)):  # 0 is older than 1
        code = app.at(now_ms // 1_000 + steps * totp.STEP_S)
        assert totp.use(tx, CIPHER, acme, alice, code, now_ms=now_ms) is accepted, steps


def test_an_app_that_is_set_up_cannot_be_replaced_before_it_is_removed(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    app = pyotp.TOTP(totp.start(tx, CIPHER, acme, alice))
    assert totp.confirm(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)
    with pytest.raises(totp.AlreadySetUp):
        totp.start(tx, CIPHER, acme, alice)
    totp.remove(tx, acme, alice, actor="a test", now_ms=NOW_MS)
    assert totp.start(tx, CIPHER, acme, alice)


@pytest.mark.parametrize("code", ["", "12345", "abcdef", "١٢٣٤٥٦", "0" * 5_000])
def test_what_is_no_code_is_refused(tx: Connection, acme: int, code: str) -> None:
    alice = hired(tx, acme)
    totp.start(tx, CIPHER, acme, alice)
    assert not totp.confirm(tx, CIPHER, acme, alice, code, now_ms=NOW_MS)


def test_a_recovery_code_works_once_however_it_is_typed(tx: Connection, acme: int) -> None:
    alice, bert = hired(tx, acme), hired(tx, acme, "Bert")
    codes = recovery.renew(tx, RECOVERY_KEYS, acme, alice, now_ms=NOW_MS)
    assert len(set(codes)) == recovery.CODES == recovery.left(tx, acme, alice)
    typed = codes[0].replace("-", " ").upper()
    assert not recovery.use(tx, RECOVERY_KEYS, acme, bert, typed, now_ms=NOW_MS)
    assert recovery.use(tx, RECOVERY_KEYS, acme, alice, typed, now_ms=NOW_MS)
    assert not recovery.use(tx, RECOVERY_KEYS, acme, alice, codes[0], now_ms=NOW_MS)
    assert recovery.left(tx, acme, alice) == recovery.CODES - 1
    recovery.renew(tx, RECOVERY_KEYS, acme, alice, now_ms=NOW_MS)
    assert not recovery.use(tx, RECOVERY_KEYS, acme, alice, codes[1], now_ms=NOW_MS)


# Invitations


def test_an_invitation_is_accepted_once_and_in_time(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    token = invitations.create(tx, INVITATION_KEYS, acme, alice, valid_ms=HOUR_MS, actor="a test", now_ms=NOW_MS)
    assert invitations.find(tx, INVITATION_KEYS, token, now_ms=NOW_MS + HOUR_MS) is None
    found = invitations.find(tx, INVITATION_KEYS, token, now_ms=NOW_MS + HOUR_MS - 1)
    assert found is not None
    assert (found.organization_name, found.name, found.email) == ("Acme", "Alice", "alice@staff.example")
    assert invitations.accept(tx, found, now_ms=NOW_MS)
    assert not invitations.accept(tx, found, now_ms=NOW_MS)
    assert invitations.find(tx, INVITATION_KEYS, token, now_ms=NOW_MS) is None


def test_a_new_invitation_replaces_the_one_before(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    old, new = (
        invitations.create(tx, INVITATION_KEYS, acme, alice, valid_ms=HOUR_MS, actor="a test", now_ms=NOW_MS)
        for _ in range(2)
    )
    assert invitations.find(tx, INVITATION_KEYS, old, now_ms=NOW_MS) is None
    assert invitations.find(tx, INVITATION_KEYS, new, now_ms=NOW_MS) is not None


def test_employees_of_others_and_deactivated_ones_cannot_be_invited(tx: Connection, people: World, acme: int) -> None:
    bob = hired(tx, int(people.globex), "Bob")
    gone = hired(tx, acme, "Gone")
    employees.deactivate(tx, acme, gone, actor="a test", now_ms=NOW_MS)
    for employee_id in (bob, gone):
        with pytest.raises(NotFound):
            invitations.create(tx, INVITATION_KEYS, acme, employee_id, valid_ms=HOUR_MS, actor="a test", now_ms=NOW_MS)


# Roles


def test_the_roles_in_the_organization_and_in_a_business_add_up(tx: Connection, people: World, acme: int) -> None:
    alice, boston, paris = hired(tx, acme), int(people.boston), int(people.paris)
    wanted = Roles("member", {boston: "manager"})
    roles.change(tx, acme, alice, wanted, by=None, actor="a test", now_ms=NOW_MS)
    found = roles.find(tx, acme, alice)
    assert found == wanted
    assert "employees:manage" in found.grants.within(boston)
    assert "employees:manage" not in found.grants.within(paris)
    assert "threads:write" in found.grants.within(paris)


def test_a_change_of_roles_ends_the_sessions_of_the_employee(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    roles.change(tx, acme, alice, Roles("member"), by=None, actor="a test", now_ms=NOW_MS)
    sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS)
    roles.change(tx, acme, alice, Roles("member"), by=None, actor="a test", now_ms=NOW_MS)
    assert sessions.of_employee(tx, acme, alice, now_ms=NOW_MS)
    roles.change(tx, acme, alice, Roles("manager"), by=None, actor="a test", now_ms=NOW_MS)
    assert not sessions.of_employee(tx, acme, alice, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("by", "before", "after", "is_allowed"),
    [
        ("owner", None, "owner", True),
        ("owner", "owner", "member", True),
        ("manager", None, "member", True),
        ("manager", "member", "manager", True),
        ("manager", None, "owner", False),
        ("manager", "owner", "member", False),
        ("member", None, "member", False),
        ("member", "member", None, False),
    ],
)
def test_nobody_gives_or_takes_permissions_that_they_lack(
    tx: Connection, acme: int, by: str, before: str | None, after: str | None, is_allowed: bool
) -> None:
    alice = hired(tx, acme)
    roles.change(tx, acme, hired(tx, acme, "Olga"), Roles("owner"), by=None, actor="a test", now_ms=NOW_MS)
    roles.change(tx, acme, alice, Roles(before), by=None, actor="a test", now_ms=NOW_MS)
    if is_allowed:
        roles.change(tx, acme, alice, Roles(after), by=Roles(by).grants, actor="a test", now_ms=NOW_MS)
    else:
        with pytest.raises(MayNotGrant):
            roles.change(tx, acme, alice, Roles(after), by=Roles(by).grants, actor="a test", now_ms=NOW_MS)
    assert roles.find(tx, acme, alice).organization == (after if is_allowed else before)


def test_the_manager_of_a_business_manages_the_employees_of_that_business_alone(
    tx: Connection, people: World, acme: int
) -> None:
    alice, boston, paris = hired(tx, acme), int(people.boston), int(people.paris)
    manager = Roles(None, {boston: "manager"})
    roles.change(tx, acme, alice, Roles(None, {boston: "member"}), by=manager.grants, actor="a test", now_ms=NOW_MS)
    for wanted in (Roles("member"), Roles(None, {boston: "member", paris: "member"}), Roles(None, {boston: "owner"})):
        with pytest.raises(MayNotGrant):
            roles.change(tx, acme, alice, wanted, by=manager.grants, actor="a test", now_ms=NOW_MS)


def test_the_last_owner_stays(tx: Connection, acme: int) -> None:
    olga, otto = hired(tx, acme, "Olga"), hired(tx, acme, "Otto")
    for owner in (olga, otto):
        roles.change(tx, acme, owner, Roles("owner"), by=None, actor="a test", now_ms=NOW_MS)
    roles.change(tx, acme, otto, Roles("member"), by=Roles("owner").grants, actor="a test", now_ms=NOW_MS)
    with pytest.raises(LastOwner):
        roles.change(tx, acme, olga, Roles(), by=None, actor="a test", now_ms=NOW_MS)


def test_roles_in_businesses_of_others_do_not_exist(tx: Connection, people: World, acme: int) -> None:
    alice = hired(tx, acme)
    with pytest.raises(NotFound):
        roles.change(
            tx, acme, alice, Roles(None, {int(people.london): "member"}), by=None, actor="a test", now_ms=NOW_MS
        )


# The audit log


def test_every_step_is_in_the_audit_log(tx: Connection, acme: int) -> None:
    before = len(actions(tx, acme))
    alice = hired(tx, acme)
    roles.change(tx, acme, alice, Roles("owner"), by=None, actor="a test", now_ms=NOW_MS)
    invitations.create(tx, INVITATION_KEYS, acme, alice, valid_ms=HOUR_MS, actor="a test", now_ms=NOW_MS)
    hashed = passwords.hash_password("correct horse battery")
    passwords.put(tx, acme, alice, hashed, actor=f"employee {alice}", now_ms=NOW_MS)
    sessions.create(tx, SESSION_KEYS, acme, alice, "full", agent="", now_ms=NOW_MS)
    recovery.renew(tx, RECOVERY_KEYS, acme, alice, now_ms=NOW_MS)
    sessions.end_all(tx, acme, alice, actor=f"employee {alice}", now_ms=NOW_MS)
    assert actions(tx, acme)[before:] == [
        "employee.create",
        "employee.roles",
        "employee.invite",
        "employee.password",
        "session.sign-in",
        "employee.recovery-codes",
        "session.end-all",
    ]


def test_a_code_still_works_after_the_secret_key_has_changed(tx: Connection, acme: int) -> None:
    alice = hired(tx, acme)
    app = pyotp.TOTP(totp.start(tx, CIPHER, acme, alice))
    assert totp.confirm(tx, CIPHER, acme, alice, app.at(NOW_MS // 1_000), now_ms=NOW_MS)
    new = b"another secret key, which is long enough"
    totp.reseal(tx, Cipher(Keys((new, SECRET_KEY.encode())), totp.SEALING_PURPOSE))
    only_new = Cipher(Keys((new,)), totp.SEALING_PURPOSE)
    later_ms = NOW_MS + STEP_MS
    assert totp.use(tx, only_new, acme, alice, app.at(later_ms // 1_000), now_ms=later_ms)
