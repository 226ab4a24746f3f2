"""``shopbell doctor`` checks PostgreSQL, NATS and S3."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from harness.findings import examine, run_doctor
from harness.installation import Database, Installation
from harness.nats import Nats
from harness.postgres import Postgres
from harness.s3 import S3


def test_weakened_durability_is_an_error(own_postgres: Postgres, tmp_path: Path) -> None:
    engine = create_engine(
        make_url(own_postgres.url("postgres")).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET full_page_writes = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        deadline_s = time.monotonic() + 60
        while connection.execute(text("SHOW full_page_writes")).scalar() != "off":
            assert time.monotonic() < deadline_s, "the server did not read its settings again"
            time.sleep(0.01)
    engine.dispose()
    code, found = examine(Installation(Database(own_postgres.url("postgres")), tmp_path))
    assert code == 1
    (wrong,) = (each for each in found["durability"] if each["level"] == "error")
    assert wrong["detail"].startswith("full_page_writes = off: ")
    assert "full_page_writes = on" in wrong["remedy"]


@pytest.mark.parametrize("engine", ["sqlite"])
def test_nats_is_checked_where_it_is_used(installation: Installation, own_nats: Nats) -> None:
    assert "NATS" not in examine(installation)[1]
    settings = dict(installation.settings)
    shown = f"nats://127.0.0.1:{own_nats.port}"

    installation.settings = settings | {"SHOPBELL_NATS_URL": own_nats.url}
    code, found = examine(installation)
    assert code == 0
    assert found["NATS"][0]["level"] == "ok"
    assert found["NATS"][0]["detail"].startswith(f"{shown} responds within ")

    wrong = f"nats://alice:very-secret@127.0.0.1:{own_nats.port}"
    installation.settings = settings | {"SHOPBELL_NATS_URL": wrong}
    done = run_doctor(installation, "--json")
    assert done.returncode == 0
    assert f"{shown} is not reachable " in done.stdout
    assert "very-secret" not in done.stdout + done.stderr

    own_nats.stop()
    installation.settings = settings | {"SHOPBELL_NATS_URL": own_nats.url}
    code, found = examine(installation)
    assert code == 0
    assert found["NATS"][0]["level"] == "warning"
    assert "SHOPBELL_NATS_URL" in found["NATS"][0]["remedy"]

    installation.settings = settings | {"SHOPBELL_NATS_URL": wrong.replace("nats:", "http:")}
    done = installation.run("doctor", "--json")
    assert done.returncode == 1
    assert "must look like nats:" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_the_attachment_store_is_checked(installation: Installation, tmp_path: Path) -> None:
    def found(**given: str) -> dict[str, Any]:
        changed = {f"SHOPBELL_{name.upper()}": value for name, value in given.items()}
        (finding,) = examine(Installation(installation.database, tmp_path, changed))[1]["attachments"]
        return finding

    level = found()["level"]
    assert level == ("ok" if installation.database.is_sqlite else "warning")
    assert found(attachments_url=tmp_path.as_uri())["detail"] == str(tmp_path)
    (tmp_path / "a-file").write_bytes(b"")
    assert found(attachments_url=(tmp_path / "a-file" / "x").as_uri())["level"] == "error"
    assert "must look like" in found(attachments_url="data/files")["remedy"]
    service = S3(tmp_path)
    service.start()
    assert found(**service.settings)["detail"] == "s3://files/kept/here"
    service.stop()
    gone = found(**service.settings)
    assert gone["level"] == "error"
    assert "the-secret-key" not in json.dumps(gone)
