"""The secret key: creation, refusal of another key and change."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.shop import Shop
from harness.world import World
from shopbell.security.encryption import Cipher
from shopbell.security.keys import Keys
from shopbell.webhooks import endpoints

NEW_KEY = "the-next-key-" + "fedcba9876543210" * 2
OTHER_KEY = "somebody-elses-key-" + "0" * 32


def _with(installation: Installation, **settings: str) -> Installation:
    given = {f"SHOPBELL_{name.upper()}": value for name, value in settings.items()}
    return replace(installation, settings={**installation.settings, **given})


@pytest.fixture
def own_folder(tmp_path: Path) -> Installation:
    """An SQLite database that is not there yet, and no secret key."""
    folder = tmp_path / "data"
    return Installation(
        Database(f"sqlite:///{folder / 'shopbell.db'}"), tmp_path, settings={**PLENTY, "SHOPBELL_SECRET_KEY": ""}
    )


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _refusal(installation: Installation, *command: str) -> str:
    done = installation.run(*command)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def _send(shop: Shop) -> int:
    return shop.post(shop.body()).status_code


def test_the_first_start_creates_a_key_readable_by_its_owner_only(own_folder: Installation, tmp_path: Path) -> None:
    mask = os.umask(0)  # even where nothing is masked
    try:
        organization = own_folder.cli("organization", "create", "Acme")["id"]
        own_folder.cli("token", "create", "--organization", organization)
    finally:
        os.umask(mask)
    folder = tmp_path / "data"
    key = folder / "secret.key"
    assert _mode(key) == 0o600
    assert len(bytes.fromhex(key.read_text().strip())) == 32
    assert {path.name: _mode(path) for path in folder.iterdir() if _mode(path) & 0o077} == {}
    before = key.read_bytes()
    own_folder.cli("token", "create", "--organization", organization)
    assert key.read_bytes() == before
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_server_refuses_a_key_of_another_database(installation: Installation) -> None:
    with installation.serving():
        pass  # the database knows its key from now on
    line = _refusal(_with(installation, secret_key=OTHER_KEY), "serve", "--port", "0")
    assert line.startswith("shopbell: the secret key does not belong to this database")
    assert "SHOPBELL_SECRET_KEY_OLD" in line
    assert OTHER_KEY not in line


def test_no_token_is_created_with_a_key_of_another_database(installation: Installation, people: World) -> None:
    before = installation.database.value("SELECT count(*) FROM api_tokens")
    line = _refusal(_with(installation, secret_key=OTHER_KEY), "token", "create", "--organization", people.acme)
    assert "the secret key does not belong" in line
    assert installation.database.value("SELECT count(*) FROM api_tokens") == before


def test_a_damaged_key_file_is_reported_in_one_line(own_folder: Installation, tmp_path: Path) -> None:
    key = tmp_path / "data" / "secret.key"
    key.parent.mkdir()
    key.write_text("short\n")
    line = _refusal(own_folder, "serve", "--port", "0")
    assert "secret.key is damaged" in line
    assert "short" not in line


def test_changing_the_key_keeps_tokens_valid(installation: Installation, people: World) -> None:
    with installation.serving() as server:
        assert _send(Shop(server, people)) == 200
    assert "the secret key" in _refusal(_with(installation, secret_key=NEW_KEY), "serve", "--port", "0")

    changing = _with(installation, secret_key=NEW_KEY, secret_key_old=SECRET_KEY)
    with changing.serving() as server:
        shop = Shop(server, people)
        assert _send(shop) == 200
        assert shop.post(shop.body(), token=people.revoked_token).status_code == 401
        fresh = changing.cli("token", "create", "--organization", people.acme)["token"]
        assert shop.post(shop.body(), token=fresh).status_code == 200

    changed = _with(installation, secret_key=NEW_KEY)
    with changed.serving() as server:
        shop = Shop(server, people)
        assert _send(shop) == 200, "what was used while changing works with the new key alone"
        assert shop.post(shop.body(), token=fresh).status_code == 200
        assert shop.post(shop.body(), token=people.second_token).status_code == 401, "what was not used does not"

    assert "the secret key" in _refusal(installation, "serve", "--port", "0")


def test_webhook_secrets_stay_readable_after_the_key_changes(installation: Installation, people: World) -> None:
    headers = [{"name": "X-Shop", "value": "Boston"}]
    body = {"url": "https://receiver.example/", "subscribedEvents": ["messages"], "extraHeaders": headers}
    with installation.serving(run_worker=False) as server:
        made = Shop(server, people).post(body, path="/api/webhooks").json()
        Shop(server, people).post({}, path=f"/api/webhooks/{made['id']}/rotate-secret")
    changing = _with(installation, secret_key=NEW_KEY, secret_key_old=SECRET_KEY)
    with changing.serving(run_worker=False):
        pass
    (row,) = installation.database.rows("SELECT * FROM webhooks")
    cipher = Cipher(Keys((NEW_KEY.encode(),)), endpoints.SEALING_PURPOSE)
    assert cipher.open(row["sealed_old_secret"]) == made["secret"]
    assert cipher.open(row["sealed_secret"]).startswith("whsec_")
    shown = _with(installation, secret_key=NEW_KEY).cli("webhooks", "show", made["id"])
    assert shown["extraHeaders"] == [{"name": "X-Shop", "set": True}]
