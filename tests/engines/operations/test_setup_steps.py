"""What a new installation needs is created once, however many commands ask."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from harness.installation import SECRET_KEY, Installation
from shopbell.db import installation as stored
from shopbell.db.connect import open_database
from shopbell.operations import first_steps
from shopbell.operations.first_steps import FirstSteps, Wanted
from shopbell.security import keys
from shopbell.settings.settings import Settings

AT_ONCE = 4
WANTED = Wanted("Acme", {"name": "Acme Boston"}, "alice@acme.example")


def test_commands_at_the_same_moment_create_everything_once(fresh_installation: Installation) -> None:
    chosen = Settings(database_url=fresh_installation.database.url, secret_key=SECRET_KEY)  # type: ignore[arg-type]
    databases = [open_database(chosen) for _ in range(AT_ONCE)]
    loaded, together = keys.load(chosen), Barrier(AT_ONCE)
    databases[0].write_now(stored.adopt_key, loaded)

    def ensure(number: int) -> FirstSteps:
        together.wait()
        return databases[number].write_now(first_steps.ensure, loaded, WANTED, issuer=None, now_ms=1_796_000_000_000)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(ensure, range(AT_ONCE)))
    finally:
        for each in databases:
            each.engine.dispose()
    assert sorted(len(each.created) for each in done) == [0, 0, 0, 4]
    assert len({(each.organization.id, each.business.id, each.owner.id, each.token.id) for each in done}) == 1
