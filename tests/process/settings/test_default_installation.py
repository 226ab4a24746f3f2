"""Without its extras, Shopbell runs on SQLite, and names the extra that a setting needs."""

import subprocess
import sys
from pathlib import Path
from pkgutil import walk_packages

import pytest

import shopbell
from harness import TESTS, preloaded
from harness.installation import PLENTY, Database, Installation
from harness.workers import WorkerProcess

WITHOUT_EXTRAS = {"PYTHONPATH": str(TESTS / "harness" / "without_extras")}
POSTGRESQL = "postgresql://shop:very-secret@db.example/shop"
NEEDS_POSTGRES = "needs the extra 'postgres', which is not installed; run `pip install 'shopbell[postgres]'`"
NEEDS_NATS = "needs the extra 'nats', which is not installed; run `pip install 'shopbell[nats]'`"
NEEDS_S3 = "needs the extra 's3', which is not installed; run `pip install 'shopbell[s3]'`"
OF_AN_EXTRA = {
    "shopbell.attachments.s3_bucket",
    "shopbell.attachments.s3_store",
    "shopbell.db.hot_connection",
    "shopbell.db.pooler",
    "shopbell.db.postgres",
    "shopbell.db.session_lock",
    "shopbell.operations.doctor.postgresql",
    "shopbell.operations.doctor.replicas",
    "shopbell.operations.backups.pg_tools",
    "shopbell.operations.sqlite_to_postgres",
    "shopbell.realtime.nats",
    "shopbell.realtime.notify",
}
"""The modules that only work with an extra."""

IMPORT_EACH = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in ("nats", "obstore", "psycopg"):
            raise
        print(name)
"""


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """One on SQLite without extras, whose processes are all started from nothing."""
    monkeypatch.setenv(preloaded.PLAIN_STARTS, "1")
    return Installation(Database(f"sqlite:///{tmp_path}/shopbell.db"), tmp_path, PLENTY | WITHOUT_EXTRAS)


def test_a_default_installation_serves_delivers_and_makes_backups(installation: Installation, tmp_path: Path) -> None:
    assert installation.run("--version").stdout.startswith("shopbell ")
    acme = installation.cli("organization", "create", "Acme")["id"]
    boston = installation.cli("business", "create", "--organization", acme, "Acme Boston", "--region", "US")["id"]
    token = installation.cli("token", "create", "--organization", acme)["token"]
    with installation.serving() as server:
        sent = server.client.post(
            "/api/widget/send-message-to-business",
            headers={"token": token},
            json={"businessId": boston, "message": "Are you open?", "user": {"phoneNumber": "(617) 555-0100"}},
        )
        assert sent.status_code == 200, sent.text
        thread_id = sent.json()["customerThreadId"]
        replied = server.client.post(
            "/api/send-message-to-customer-thread",
            headers={"token": token},
            json={"customerThreadId": thread_id, "text": "Until six."},
        )
        assert replied.status_code == 200, replied.text
        installation.cli("backup", tmp_path / "shopbell.tar")
    worker = WorkerProcess(installation)
    worker.wait_until_started()
    assert worker.terminate() == 0
    installation.cli("restore", tmp_path / "shopbell.tar")
    texts = [message["body"] for message in installation.cli("threads", "show", thread_id)["messages"]]
    assert texts == ["Are you open?", "Until six."]
    assert "Traceback" not in installation.run("doctor").stderr


@pytest.mark.parametrize(
    ("command", "name", "value", "needs"),
    [
        (("serve",), "SHOPBELL_DATABASE_URL", POSTGRESQL, NEEDS_POSTGRES),
        (("worker",), "SHOPBELL_DATABASE_URL", POSTGRESQL, NEEDS_POSTGRES),
        (("doctor",), "SHOPBELL_DATABASE_URL", POSTGRESQL, NEEDS_POSTGRES),
        (("backup", "file.tar"), "SHOPBELL_DATABASE_URL", POSTGRESQL, NEEDS_POSTGRES),
        (("threads", "list"), "SHOPBELL_DATABASE_DIRECT_URL", POSTGRESQL, NEEDS_POSTGRES),
        (("serve",), "SHOPBELL_NATS_URL", "nats://shop:very-secret@nats.example:4222", NEEDS_NATS),
        (("serve",), "SHOPBELL_ATTACHMENTS_URL", "s3://acme-shopbell/attachments", NEEDS_S3),
        (("doctor",), "SHOPBELL_ATTACHMENTS_URL", "s3://acme-shopbell/attachments", NEEDS_S3),
        (("serve",), "SHOPBELL_BACKUP_TO", "s3://acme-shopbell/backups", NEEDS_S3),
    ],
)
def test_every_command_names_the_extra_that_a_setting_needs(
    command: tuple[str, ...], name: str, value: str, needs: str, installation: Installation
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shopbell", *command],
        cwd=installation.folder,
        env=installation.environment | {name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"shopbell: {name}: {needs}\n")


def test_a_backup_names_the_extra_that_its_place_needs(installation: Installation) -> None:
    installation.cli("migrate")
    done = installation.run("backup", "--to", "s3://acme-shopbell/backups")
    assert (done.returncode, done.stderr) == (1, f"shopbell: s3://acme-shopbell/backups: {NEEDS_S3}\n")


def test_a_move_names_the_extra_that_it_needs(installation: Installation) -> None:
    installation.cli("migrate")
    done = installation.run("move", "--to", POSTGRESQL)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"shopbell: --to {NEEDS_POSTGRES}\n")
    assert installation.run("move", "--help").returncode == 0


def test_only_the_modules_of_an_extra_need_one(installation: Installation) -> None:
    names = sorted(each.name for each in walk_packages(shopbell.__path__, "shopbell."))
    for program in ("shopbell.__main__", "shopbell.db.migrations.env"):  # they run when they are imported
        names.remove(program)
    assert set(names) > OF_AN_EXTRA
    command = [sys.executable, "-c", IMPORT_EACH, *names]
    done = subprocess.run(command, env=installation.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(done.stdout.split()) == OF_AN_EXTRA
