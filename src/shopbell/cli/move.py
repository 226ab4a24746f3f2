"""``shopbell move``."""

from typing import Annotated

import typer

from shopbell.cli.access import load_settings
from shopbell.cli.output import JSON, print_json, say
from shopbell.cli.progress import progress
from shopbell.errors import CommandError
from shopbell.security import keys
from shopbell.settings.extras import require_extra

app = typer.Typer()


@app.command("move")
def move_installation(
    to: Annotated[
        str,
        typer.Option("--to", metavar="URL", help="An empty PostgreSQL database: postgresql://user@host/name."),
    ],
    json: JSON = False,
) -> None:
    """Copy everything from SQLite to PostgreSQL.

    All ids and tokens stay the same. If the command is interrupted, run it again.
    """
    chosen = load_settings()
    try:
        require_extra("postgres")
    except ValueError as error:
        raise CommandError(f"--to {error}") from None
    from shopbell.operations.sqlite_to_postgres import move  # imports PostgreSQL's driver

    with progress() as on_progress:
        moved = move(chosen, to, on_progress)
    if json:
        print_json(moved.as_json())
        return
    total = sum(moved.rows.values())
    say(f"All {total} rows are there already." if moved.already else f"Moved and verified {total} rows.")
    say("The new server needs these settings:")
    say("  SHOPBELL_DATABASE_URL   the URL that you gave as --to")
    if chosen.secret_key is None:
        say(f"  SHOPBELL_SECRET_KEY     the content of {keys.key_file(chosen)}")
    else:
        say("  SHOPBELL_SECRET_KEY     the same as here")
    if moved.attachments:
        say(f"  SHOPBELL_ATTACHMENTS_URL={moved.attachments}")
        say("  (or the place to which you copy that folder: the bytes of attachments are not moved)")
    say(f"{chosen.sqlite_path} is unchanged, but no longer delivers webhooks. Do not start a server with it again.")
