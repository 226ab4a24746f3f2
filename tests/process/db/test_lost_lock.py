"""A server whose lock was taken by a restore writes no more."""

import pytest

from harness.installation import Installation
from harness.waiting import wait_until
from shopbell.db.session_lock import _LOCK

HOLDERS = (
    "FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
PATIENCE_MS = 10_000


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_server_that_loses_its_lock_to_a_restore_ends_at_once(installation: Installation) -> None:
    database = installation.database
    with installation.serving() as server:
        wait_until(lambda: database.value(f"SELECT count(*) {HOLDERS}") == 2, lambda: server.log)
        with database.connection() as connection:

            def take() -> bool:
                connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, {PATIENCE_MS}) {HOLDERS}").all()
                return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK})").scalar_one())

            wait_until(take, lambda: "the lock is not free")
            wait_until(lambda: not server.is_running(), lambda: f"the server goes on:\n{server.log}")
    assert "lost the lock of the database" in server.log
    assert "stopping" not in server.log
