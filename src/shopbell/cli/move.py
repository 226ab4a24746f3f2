"""``shopbell move``; the imports stand inside, as in ``server.py``."""

from typing import Annotated

import typer

from shopbell.cli.output import JSON, print_json, say
from shopbell.cli.progress import progress

move_app = typer.Typer()


@move_app.command("move")
def move_installation(
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL", help="An empty PostgreSQL database: postgresql://user@host/name."),
    ],
    json: JSON = False,
) -> None:
    """Bring everything from SQLite to PostgreSQL, with all ids and tokens; interrupted, run it again."""
    from shopbell import keys, settings
    from shopbell.move import move

    chosen = settings.load()
    with progress() as on_progress:
        moved = move(chosen, to, on_progress)
    if json:
        print_json(moved.as_json())
        return
    total = sum(moved.rows.values())
    say(f"All {total} rows are there already." if moved.already else f"All {total} rows are moved and compared.")
    say("The server that runs there needs these settings:")
    say("  SHOPBELL_DATABASE_URL   the address that you gave as --to")
    if chosen.secret_key is None:
        say(f"  SHOPBELL_SECRET_KEY     what {keys.key_file(chosen)} holds")
    else:
        say("  SHOPBELL_SECRET_KEY     the same as here")
    if moved.attachments:
        say(f"  SHOPBELL_ATTACHMENTS_URL={moved.attachments}")
        say("  (or wherever you copy that folder to: the bytes of attachments are not moved)")
    say(f"What was here is as it was, but delivers no webhooks. Do not serve from {chosen.sqlite_path} any more.")
