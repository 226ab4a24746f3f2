"""``shopbell backup`` and ``shopbell restore``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from shopbell.cli.access import load_settings
from shopbell.cli.output import JSON, print_json, say
from shopbell.operations.backups import backup, restore
from shopbell.operations.backups.backup import Made
from shopbell.operations.backups.job import Stored, store_backup
from shopbell.operations.backups.retention import Keep
from shopbell.operations.backups.targets import fetched, open_target
from shopbell.runtime.clock import now_ms
from shopbell.security.files import make_private_folder
from shopbell.settings.backups import parse_place
from shopbell.settings.locations import BucketLocation, parse_location
from shopbell.settings.settings import Settings

app = typer.Typer()


@app.command("backup")
def make_backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", show_default=False, help="The file to write; it must not exist.")
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            metavar="PLACE",
            show_default=False,
            help="A folder or s3://bucket/prefix for many backups. Without FILE: SHOPBELL_BACKUP_TO.",
        ),
    ] = "",
    keep: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            show_default=False,
            help="Then delete older backups in PLACE. 7d4w12m keeps the newest one of each of the last 7 days, 4 weeks "
            "and 12 months that have one.",
        ),
    ] = "",
    with_secret_key: Annotated[
        bool,
        typer.Option("--with-secret-key", help="Include the secret key. Keep the file as secret as the key."),
    ] = False,
    json: JSON = False,
) -> None:
    """Write all data to one file. The server may be running."""
    if file is not None and (to or keep):
        raise typer.BadParameter("FILE cannot be combined with --to or --keep")
    settings = load_settings()
    done: Made | Stored
    if file is not None:
        done = made = backup.create(settings, file, with_secret_key=with_secret_key, now_ms=now_ms())
        address = str(made.file)
    else:
        done = _store(settings, to, keep, with_secret_key=with_secret_key)
        made, address = done.made, done.address
    if json:
        print_json(done.as_json())
        return
    say(f"Wrote {address}: {made.size_bytes} bytes, SHA-256 {made.sha256}")
    if isinstance(done, Stored):
        say("Verified: " + ", ".join(f"{table} {count}" for table, count in made.rows.items()))
        for name in done.deleted:
            say(f"Deleted {name}")
    for warning in done.warnings:
        say(f"shopbell: {warning}", error=True)
    if not with_secret_key:
        say("The secret key is not included. Without it, API tokens do not work after a restore.", error=True)


def _store(settings: Settings, to: str, keep: str, *, with_secret_key: bool) -> Stored:
    if not to and not settings.backup_to:
        raise typer.BadParameter("give FILE or --to, or set SHOPBELL_BACKUP_TO")
    try:
        place = Path(to) if to and "://" not in to else parse_place(to or settings.backup_to)
    except ValueError:
        raise typer.BadParameter("--to: must be a folder, or s3://bucket/prefix") from None
    text = keep or ("" if to else settings.backup_keep)
    try:
        rule = Keep.parse(text) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"--keep: {error}") from None
    target = open_target(settings, place)
    return store_backup(settings, target, rule, with_secret_key=with_secret_key, now_ms=now_ms())


@app.command("restore")
def restore_backup(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file that `shopbell backup` wrote, or s3://bucket/file.")
    ],
    json: JSON = False,
) -> None:
    """Replace all data by a backup. Stop the server first. The old data is kept next to the new data."""
    settings = load_settings()
    with ExitStack() as stack:
        path, keep_in = Path(file), None
        if file.startswith("s3://"):
            if settings.is_sqlite:
                make_private_folder(settings.sqlite_path.absolute().parent)
            path, keep_in = stack.enter_context(fetched(settings, _in_bucket(file))), Path.cwd()
        restored = restore.restore(settings, path, keep_in=keep_in, now_ms=now_ms())
    if json:
        print_json(restored.as_json())
    else:
        say("Restored the backup.")
        if restored.kept:
            say(f"The old data is kept in {restored.kept}")
        say("Webhooks, emails and text messages are stopped until you run `shopbell webhooks resume`.")
        say("What was waiting at the time of the backup may have been sent since. To skip the waiting deliveries of a")
        say("webhook, first run `shopbell webhooks update ID --disable`. `resume` discards waiting texts and sends")
        say("waiting emails again, unless you add --skip-mails.")
    for warning in restored.warnings:
        say(f"shopbell: {warning}", error=True)


def _in_bucket(url: str) -> BucketLocation:
    try:
        location = parse_location(url)
    except ValueError:
        location = None
    if not isinstance(location, BucketLocation) or not location.prefix:
        raise typer.BadParameter("must be a file, or s3://bucket/file")
    return location
