"""Long-running commands as processes."""

import json
import re
import select
import signal
import subprocess
import sys

import httpx2
import pytest

from harness.installation import Installation
from harness.shop import Shop


def start(installation: Installation, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command that goes on until it is told to end."""
    return subprocess.Popen(
        [sys.executable, "-m", "shopbell", *arguments],
        cwd=installation.folder,
        env=installation.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("engine", ["sqlite"])
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_server_prints_its_address(fresh_installation: Installation, log_format: str) -> None:
    fresh_installation.settings = {"SHOPBELL_LOG_FORMAT": log_format}
    server = start(fresh_installation, "serve", "--port", "0")
    try:
        assert server.stderr is not None
        assert select.select([server.stderr], [], [], 60)[0], "it says nothing"
        line = server.stderr.readline()
        told = f"Shopbell runs at {json.loads(line)['url']}/\n" if log_format == "json" else line
        found = re.fullmatch(r"Shopbell runs at (http://127\.0\.0\.1:[1-9][0-9]*)/\n", told)
        assert found, line
        assert httpx2.get(f"{found[1]}/healthz", trust_env=False, timeout=60).status_code == 200
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=60)
    assert output == ""


def test_following_a_conversation_prints_messages_as_they_arrive(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    thread_id = shop.send(message="First", user=user)
    follower = start(shop.server.installation, "threads", "show", thread_id, "--follow", "--json")
    assert follower.stdout is not None
    thread = json.loads(follower.stdout.readline())
    assert [each["body"] for each in thread["messages"]] == ["First"]
    for body in ("Second", "Third"):
        shop.send(message=body, user=user)
        message = json.loads(follower.stdout.readline())
        assert message["body"] == body
    follower.send_signal(signal.SIGINT)
    output, errors = follower.communicate(timeout=60)
    assert (follower.returncode, output, errors) == (130, "", "")


def test_the_version_and_the_list_of_commands_load_no_command() -> None:
    program = (
        "import sys\nfrom shopbell.cli import main\n"
        "try: main()\nfinally: print(sorted({'sqlalchemy', 'pydantic', 'fastapi', 'alembic'} & set(sys.modules)))"
    )
    for option in ("--version", "--help"):
        done = subprocess.run([sys.executable, "-c", program, option], capture_output=True, text=True, check=True)
        assert done.stdout.endswith("\n[]\n")


def test_a_command_loads_no_other() -> None:
    program = (
        "import sys\nfrom shopbell.cli import main\n"
        "try: main()\nfinally: print(sorted(name for name in sys.modules if name.startswith('shopbell.http')))"
    )
    command = [sys.executable, "-c", program, "threads", "list", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\n[]\n")
