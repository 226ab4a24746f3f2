"""``shopbell migrate``."""

import typer

from shopbell.cli.access import load_settings
from shopbell.cli.output import JSON, print_json, say
from shopbell.db.connect import connect_database
from shopbell.db.migrate import migrate as bring_up_to_date
from shopbell.db.migrate import revision_of

app = typer.Typer()


@app.command()
def migrate(json: JSON = False) -> None:
    """Migrate the database to this version. Make a backup first."""
    database = connect_database(load_settings())
    try:
        before = bring_up_to_date(database)
        revision = database.read_now(revision_of)
    finally:
        database.engine.dispose()
    if json:
        print_json({"before": before.name.lower(), "now": "current", "revision": revision})
    else:
        say(f"The database was {before.value}. It is now at revision {revision}, which this version needs.")
