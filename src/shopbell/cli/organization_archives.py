"""``shopbell organization export`` and ``import``; the imports stand inside, as in ``server.py``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from shopbell.cli.access import opened, secret_keys, write
from shopbell.cli.output import ID_MAX, JSON, now_ms, print_json, say
from shopbell.cli.progress import progress
from shopbell.errors import CommandError
from shopbell.private_files import owner_only, sync_folder

organization_archive_app = typer.Typer()


@organization_archive_app.command("export")
def export_organization(
    organization: Annotated[int, typer.Argument(metavar="ID", min=1, max=ID_MAX, help="The organization's id.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")],
    with_attachments: Annotated[
        bool, typer.Option("--attachments", help="Put the bytes of attachments in, too, not their names alone.")
    ] = False,
    json: JSON = False,
) -> None:
    """Write all of an organization to one file of JSON Lines, as it is at one moment; no secrets are in it."""
    from shopbell import organization_export, settings
    from shopbell.blobs.open import open_store

    to_stdout = file == "-"
    if json and to_stdout:
        raise CommandError("--json prints to standard output, where the file goes already; give a FILE")
    store = open_store(settings.load()) if with_attachments else None
    if with_attachments and store is None:
        raise CommandError("SHOPBELL_ATTACHMENTS_URL does not say where attachments are")
    try:
        with opened() as database, _output(file) as out, progress() as on_progress:
            made = organization_export.export(
                database, organization, out, store=store, now_ms=now_ms(), on_progress=on_progress
            )
    finally:
        if store is not None:
            store.close()
    if json:
        print_json({"file": file, **made.as_json()})
    else:
        say(f"{sum(made.counts.values())} rows of organization {organization} are written.", error=to_stdout)
    if made.missing:
        say(f"shopbell: the bytes of {len(made.missing)} attachments are not in the store", error=True)


@organization_archive_app.command("import")
def import_organization(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `shopbell organization export` made.")],
    json: JSON = False,
) -> None:
    """Make a new organization of a file: all of it, under new ids, or nothing."""
    from shopbell import installation, organization_import, settings, webhooks
    from shopbell.blobs.open import open_store
    from shopbell.sealing import Seals

    if not file.is_file():
        raise CommandError(f"there is no file {file}")
    keys = secret_keys(create=True)
    write(lambda tx: installation.adopt(tx, keys), create=True)
    store = open_store(settings.load())
    try:
        with opened() as database, progress() as on_progress:
            made = organization_import.import_file(
                database,
                file,
                store=store,
                seals=Seals(keys, webhooks.SEALING_PURPOSE),
                now_ms=now_ms(),
                on_progress=on_progress,
            )
    finally:
        if store is not None:
            store.close()
    if json:
        print_json(made.as_json())
    else:
        say(f"Organization {made.organization_id} is made, of {sum(made.counts.values())} rows.")
        say(f"It has no API token yet: `shopbell token create --organization {made.organization_id}` makes one.")
    if made.webhooks:
        say(
            f"shopbell: {made.webhooks} webhooks came without their secrets and are switched off; "
            "`shopbell webhooks rotate-secret` and `update` make them ready",
            error=True,
        )
    if made.missing:
        say(f"shopbell: {made.missing} attachments came without their bytes", error=True)


@contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """The file to write: its owner's alone, whole or not there; nothing is overwritten."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    if target.exists():
        raise CommandError(f"{target} exists already; nothing is overwritten")
    if not target.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {target.parent}")
    with tempfile.TemporaryDirectory(prefix=".shopbell-", dir=target.absolute().parent) as folder:
        unfinished = Path(folder) / "organization.jsonl"
        with os.fdopen(owner_only(str(unfinished), os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        try:
            target.hardlink_to(unfinished)
        except FileExistsError:
            raise CommandError(f"{target} exists already; nothing is overwritten") from None
        except OSError:  # a file system without links
            unfinished.rename(target)
        sync_folder(target.absolute().parent)
