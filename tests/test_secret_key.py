"""The secret key: made once beside the database, refused when it is another, and changed without breaking a token."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.installation import PLENTY, SECRET_KEY, Database, Installation
from harness.shop import WIDGET, Shop
from harness.world import World
from shopbell import webhooks
from shopbell.keys import Keys
from shopbell.sealing import Seals

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


def test_the_first_start_makes_a_key_that_only_its_owner_reads(own_folder: Installation, tmp_path: Path) -> None:
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


def test_two_first_uses_at_once_end_with_one_key(own_folder: Installation) -> None:
    organization = str(own_folder.cli("organization", "create", "Acme")["id"])
    business = str(own_folder.cli("business", "create", "--organization", organization, "Acme Boston")["id"])
    command = [sys.executable, "-m", "shopbell", "token", "create", "--organization", organization, "--json"]
    both = [
        subprocess.Popen(command, cwd=own_folder.folder, env=own_folder.environment, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    made = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    tokens = [json.loads(output)["token"] for output in made]
    with own_folder.serving() as server:
        body = {"businessId": business, "message": "hello", "user": {"email": "carol@example.com"}}
        assert [server.client.post(WIDGET, json=body, headers={"token": token}).status_code for token in tokens] == [
            200,
            200,
        ]


def test_a_server_refuses_a_key_that_is_not_the_databases(installation: Installation) -> None:
    with installation.serving():
        pass  # the database knows its key from now on
    line = _refusal(_with(installation, secret_key=OTHER_KEY), "serve", "--port", "0")
    assert line.startswith("shopbell: the secret key is not the one that this database was made with")
    assert "SHOPBELL_SECRET_KEY_OLD" in line
    assert OTHER_KEY not in line


def test_no_token_is_made_with_a_key_that_is_not_the_databases(installation: Installation, people: World) -> None:
    before = installation.database.value("SELECT count(*) FROM api_tokens")
    line = _refusal(_with(installation, secret_key=OTHER_KEY), "token", "create", "--organization", people.acme)
    assert "the secret key is not the one" in line
    assert installation.database.value("SELECT count(*) FROM api_tokens") == before


def test_a_damaged_key_file_is_one_clear_line(own_folder: Installation, tmp_path: Path) -> None:
    key = tmp_path / "data" / "secret.key"
    key.parent.mkdir()
    key.write_text("short\n")
    line = _refusal(own_folder, "serve", "--port", "0")
    assert "secret.key is damaged" in line
    assert "short" not in line


def test_changing_the_key_breaks_no_token(installation: Installation, people: World) -> None:
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


def test_what_webhooks_have_sealed_outlives_the_former_key(installation: Installation, people: World) -> None:
    headers = [{"name": "X-Shop", "value": "Boston"}]
    body = {"url": "https://receiver.example/", "subscribedEvents": ["messages"], "extraHeaders": headers}
    with installation.serving(run_worker=False) as server:
        made = Shop(server, people).post(body, path="/api/webhooks").json()
        Shop(server, people).post({}, path=f"/api/webhooks/{made['id']}/rotate-secret")
    changing = _with(installation, secret_key=NEW_KEY, secret_key_old=SECRET_KEY)
    with changing.serving(run_worker=False):
        pass
    (row,) = installation.database.rows("SELECT * FROM webhooks")
    seals = Seals(Keys((NEW_KEY.encode(),)), webhooks.SEALING_PURPOSE)
    assert seals.open(row["sealed_old_secret"]) == made["secret"]
    assert seals.open(row["sealed_secret"]).startswith("whsec_")
    shown = _with(installation, secret_key=NEW_KEY).cli("webhooks", "show", made["id"])
    assert shown["extraHeaders"] == [{"name": "X-Shop", "set": True}]
