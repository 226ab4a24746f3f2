"""``shopbell backup FILE`` and ``shopbell restore FILE``; the imports stand inside, as in ``server.py``."""

from pathlib import Path
from typing import Annotated

import typer

from shopbell.cli.output import JSON, now_ms, print_json, say

backup_app = typer.Typer()


@backup_app.command("backup")
def make_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it; nothing is overwritten.")],
    with_secret_key: Annotated[
        bool,
        typer.Option("--with-secret-key", help="Put the secret key in, too; the file is then as secret as the key."),
    ] = False,
    json: JSON = False,
) -> None:
    """Write all data to one file, also while a server runs."""
    from shopbell import backup, settings

    made = backup.create(settings.load(), file, with_secret_key=with_secret_key, now_ms=now_ms())
    if json:
        print_json(made.as_json())
        return
    say(f"{made.file} is written: {made.size_bytes} bytes, SHA-256 {made.sha256}")
    for warning in made.warnings:
        say(f"shopbell: {warning}", error=True)
    if not with_secret_key:
        say("The secret key is not in it; without that key, API tokens do not work after a restore.", error=True)


@backup_app.command("restore")
def restore_backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `shopbell backup` made.")],
    json: JSON = False,
) -> None:
    """Replace all data by that of a backup; what was there is kept. Refused while a server runs."""
    from shopbell import backup, settings

    restored = backup.restore(settings.load(), file, now_ms=now_ms())
    if json:
        print_json(restored.as_json())
    else:
        say("The backup is restored.")
        if restored.kept:
            say(f"What was there before is kept in {restored.kept}")
        say("No webhook is told of anything until `shopbell webhooks resume`; `webhooks update ID --disable` before it")
        say("skips what waits for one: what waited at the backup may have been delivered since.")
        say("No mail and no text leaves until then, either. Texts that waited are given up by it; mails that waited")
        say("go out, most of them again, unless it is `shopbell webhooks resume --skip-mails`.")
    for warning in restored.warnings:
        say(f"shopbell: {warning}", error=True)
