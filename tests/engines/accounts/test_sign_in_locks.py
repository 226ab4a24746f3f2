"""A sign-in and a change of the password at the same moment, on real databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, text

from harness.installation import SECRET_KEY, Installation
from harness.world import World
from shopbell.accounts import passwords, roles, sign_in
from shopbell.accounts.roles import Roles
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.organizations import employees
from shopbell.settings.settings import Settings

NOW_MS = 1_800_000_000_000


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    settings = Settings(database_url=installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    database = open_database(settings)
    yield database
    database.engine.dispose()


def test_a_sign_in_waits_for_a_change_of_the_password(
    installation: Installation, people: World, database: Database
) -> None:
    acme = int(people.acme)

    def hire(tx: Connection) -> sign_in.Account | None:
        alice = employees.create(tx, acme, "Alice", "alice@staff.example", actor="a test", now_ms=NOW_MS).id
        roles.change(tx, acme, alice, Roles("member"), by=None, actor="a test", now_ms=NOW_MS)
        passwords.put(tx, acme, alice, "a hash", actor="a test", now_ms=NOW_MS)
        return sign_in.find(tx, acme, alice)

    account = database.write_now(hire)
    assert account is not None
    assert database.write_now(sign_in.find_again, account) == account
    with ThreadPoolExecutor(1) as pool, installation.database.connection() as changing:
        of = {"id": account.employee_id}
        changing.execute(text("DELETE FROM passwords WHERE employee_id = :id"), of)
        found = pool.submit(database.write_now, sign_in.find_again, account)
        with pytest.raises(TimeoutError):
            found.result(timeout=0.5)
        changing.commit()
        assert found.result() is None
