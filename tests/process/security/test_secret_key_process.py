"""Two processes start with a new installation at the same time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.installation import PLENTY, Database, Installation
from harness.shop import WIDGET


@pytest.fixture
def own_folder(tmp_path: Path) -> Installation:
    """An SQLite database that is not there yet, and no secret key."""
    folder = tmp_path / "data"
    return Installation(
        Database(f"sqlite:///{folder / 'shopbell.db'}"), tmp_path, settings={**PLENTY, "SHOPBELL_SECRET_KEY": ""}
    )


def test_two_concurrent_first_starts_use_one_key(own_folder: Installation) -> None:
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
