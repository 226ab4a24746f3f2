"""API tokens: creation, rotation and revocation by the command line."""

import json
import re
import time

import pytest

from harness.installation import SECRET_KEY, Installation
from harness.shop import Shop
from harness.waiting import ask_until_obeyed
from harness.world import World
from shopbell.organizations.api_tokens import SCOPES

OTHER_KEY = "another-key-for-tests-" + "fedcba9876543210" * 4


def status(shop: Shop, token: str) -> int:
    """How a right message with this token is answered."""
    return shop.post(shop.body(), token=token).status_code


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_token_has_the_documented_form_and_is_shown_once(installation: Installation, people: World) -> None:
    made = installation.cli("token", "create", "--organization", people.acme, "--name", "website")
    assert re.fullmatch(r"sb_live_[0-9A-Za-z]{49}", made["token"])
    assert made["hint"] == made["token"][-4:]
    everything = installation.run("token", "list").stdout + installation.run("token", "list", "--json").stdout
    assert made["id"] in everything
    assert made["token"] not in everything


def test_the_database_contains_no_token(installation: Installation, people: World) -> None:
    secret = installation.cli("token", "create", "--organization", people.acme)["token"]
    kept = str(installation.database.rows("SELECT * FROM api_tokens"))
    assert secret[-4:] in kept
    assert secret[8:-6] not in kept


@pytest.mark.parametrize("engine", ["sqlite"])
def test_no_scope_option_means_all_scopes(installation: Installation, people: World) -> None:
    made = installation.cli("token", "create", "--organization", people.acme)
    assert len(made["scopes"]) == len(SCOPES)
    some = ("--scope", "threads:read", "--scope", "customers:read")
    assert installation.cli("token", "create", "--organization", people.acme, *some)["scopes"] == [
        "customers:read",
        "threads:read",
    ]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_token_with_all_scopes_and_no_expiry_prints_a_warning(installation: Installation, people: World) -> None:
    made = installation.run("token", "create", "--organization", people.acme, "--json")
    rotated = installation.run("token", "rotate", json.loads(made.stdout)["id"], "--json")
    for done in (made, rotated):
        assert (done.returncode, "all scopes and never expires" in done.stderr) == (0, True)
    limited = (("--scope", "widget:send"), ("--expires", "2090-01-01"))
    for options in limited:
        done = installation.run("token", "create", "--organization", people.acme, *options)
        assert (done.returncode, "never expires" in done.stderr) == (0, False)


def test_an_unknown_scope_is_refused_with_the_known_ones(installation: Installation, people: World) -> None:
    done = installation.run("token", "create", "--organization", people.acme, "--scope", "everything")
    assert done.returncode == 1
    assert "widget:send" in done.stderr


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_expiry_is_read_as_iso_8601(installation: Installation, people: World) -> None:
    for text, expires_at_ms in (
        ("2100-01-01", 4_102_444_800_000),
        ("2100-01-01T01:00+01:00", 4_102_444_800_000),
        ("2100-01-01T00:00:00.250Z", 4_102_444_800_250),
    ):
        made = installation.cli("token", "create", "--organization", people.acme, "--expires", text)
        assert made["expiresAt"] == expires_at_ms


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_expiry_in_the_past_is_refused(installation: Installation, people: World) -> None:
    done = installation.run("token", "create", "--organization", people.acme, "--expires", "2020-01-01")
    assert done.returncode == 1
    assert done.stderr == "shopbell: the expiry time of the token is in the past\n"


def test_a_token_expires(shop: Shop) -> None:
    ends_ms = time.time_ns() // 1_000_000 + 3_600_000
    expires = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ends_ms // 1000))}.{ends_ms % 1000:03d}Z"
    made = shop.server.installation.cli("token", "create", "--organization", shop.world.acme, "--expires", expires)
    assert made["expiresAt"] == ends_ms
    # It expires earlier now. The server has not seen it yet, so the test waits less long than a command may take.
    ends_ms = time.time_ns() // 1_000_000 + 1_500
    brought_forward = "UPDATE api_tokens SET expires_at_ms = :ends WHERE id = :id"
    assert shop.database.change(brought_forward, ends=ends_ms, id=int(made["id"])) == 1
    seen = set()
    while (before_ms := time.time_ns() // 1_000_000) < ends_ms + 200 or 401 not in seen:  # one may take as long as that
        answer = status(shop, made["token"])
        after_ms = time.time_ns() // 1_000_000
        if after_ms < ends_ms:
            assert answer == 200
        elif before_ms >= ends_ms:
            assert answer == 401
        seen.add(answer)
        time.sleep(0.05)
    assert 401 in seen


def test_a_running_server_refuses_a_revoked_token_within_a_second(shop: Shop) -> None:
    made = shop.server.installation.cli("token", "create", "--organization", shop.world.acme)
    assert status(shop, made["token"]) == 200
    shop.server.installation.cli("token", "revoke", made["id"])
    ask_until_obeyed(lambda: status(shop, made["token"]) != 200, "the token still works a second later")
    assert status(shop, made["token"]) == 401


@pytest.mark.parametrize("engine", ["sqlite"])
def test_revoking_twice_keeps_the_first_time(installation: Installation, people: World) -> None:
    first = installation.cli("token", "revoke", people.token_id)
    assert installation.cli("token", "revoke", people.token_id)["revokedAt"] == first["revokedAt"]
    assert first["valid"] is False


def test_after_a_rotation_both_tokens_work(shop: Shop) -> None:
    cli = shop.server.installation.cli
    options = ("--name", "kiosk", "--scope", "widget:send", "--expires", "2100-01-01")
    old = cli("token", "create", "--organization", shop.world.acme, *options)
    new = cli("token", "rotate", old["id"])
    assert new["token"] != old["token"]
    for fact in ("name", "scopes", "expiresAt"):
        assert new[fact] == old[fact]
    assert new["replaced"]["expiresAt"] - new["createdAt"] == 24 * 60 * 60 * 1000
    assert (status(shop, old["token"]), status(shop, new["token"])) == (200, 200)


def test_a_rotation_without_overlap_revokes_the_old_token_at_once(shop: Shop) -> None:
    cli = shop.server.installation.cli
    old = cli("token", "create", "--organization", shop.world.acme)
    new = cli("token", "rotate", old["id"], "--overlap", 0)
    assert (status(shop, old["token"]), status(shop, new["token"])) == (401, 200)


def test_a_token_lineage_has_at_most_two_valid_tokens(installation: Installation, people: World) -> None:
    old = installation.cli("token", "create", "--organization", people.acme, "--name", "kiosk")
    new = installation.cli("token", "rotate", old["id"])
    for token in (old, new):
        done = installation.run("token", "rotate", token["id"])
        assert done.returncode == 1
        assert "are both valid" in done.stderr
    installation.cli("token", "revoke", old["id"])
    installation.cli("token", "rotate", new["id"])


@pytest.mark.parametrize("engine", ["sqlite"])
def test_a_rotation_does_not_extend_a_token_that_expires_sooner(installation: Installation, people: World) -> None:
    ends_ms = time.time_ns() // 1_000_000 + 3_600_000
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends_ms // 1000))
    old = installation.cli("token", "create", "--organization", people.acme, "--expires", expires)
    assert installation.cli("token", "rotate", old["id"])["replaced"]["expiresAt"] == old["expiresAt"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_an_invalid_token_is_not_rotated(installation: Installation, people: World) -> None:
    installation.cli("token", "revoke", people.token_id)
    done = installation.run("token", "rotate", people.token_id)
    assert done.returncode == 1
    assert "no longer valid" in done.stderr


def test_tokens_survive_a_change_of_the_secret_key(installation: Installation, people: World) -> None:
    changed = Installation(installation.database, installation.folder, dict(installation.settings))
    while_changing = {"SHOPBELL_SECRET_KEY": OTHER_KEY, "SHOPBELL_SECRET_KEY_OLD": SECRET_KEY}
    changed.settings = dict(installation.settings) | while_changing
    with changed.serving() as server:
        assert status(Shop(server, people), people.token) == 200
    changed.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": OTHER_KEY}
    with changed.serving() as server:
        shop = Shop(server, people)
        assert status(shop, people.token) == 200
        # This one was not used in between, so it is stored only with the former key.
        assert status(shop, people.second_token) == 401


def test_no_token_is_created_with_another_secret_key(installation: Installation, people: World) -> None:
    installation.settings = dict(installation.settings) | {"SHOPBELL_SECRET_KEY": OTHER_KEY}
    done = installation.run("token", "create", "--organization", people.acme)
    assert done.returncode == 1
    assert done.stderr.startswith("shopbell: the secret key does not belong to this database")
