"""``shopbell organization export`` and ``import``."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from shopbell.attachments.open_store import open_store
from shopbell.cli.access import ACTOR, load_settings, opened, secret_keys, write
from shopbell.cli.output import JSON, object_id, print_json, say
from shopbell.cli.progress import progress
from shopbell.db import installation
from shopbell.errors import CommandError
from shopbell.operations import organization_export, organization_import
from shopbell.runtime.clock import now_ms
from shopbell.security.encryption import Cipher
from shopbell.security.files import owner_only, publish
from shopbell.webhooks import endpoints

app = typer.Typer()


@app.command("export")
def export_organization(
    organization: Annotated[int, typer.Argument(metavar="ID", parser=object_id, help="The organization's id.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to write. -: standard output.")],
    with_attachments: Annotated[bool, typer.Option("--attachments", help="Include the bytes of attachments.")] = False,
    json: JSON = False,
) -> None:
    """Export an organization to one file.

    The file has JSON Lines: all data as of one moment, without secrets.
    """
    to_stdout = file == "-"
    if json and to_stdout:
        raise CommandError("with --json, FILE must not be standard output")
    store = open_store(load_settings()) if with_attachments else None
    if with_attachments and store is None:
        raise CommandError("no attachment store is configured: set SHOPBELL_ATTACHMENTS_URL")
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
        say(f"Exported {sum(made.counts.values())} rows of organization {organization}.", error=to_stdout)
    if made.missing:
        say(f"shopbell: the bytes of {len(made.missing)} attachments are not in the store", error=True)


@app.command("import")
def import_organization(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `shopbell organization export` wrote.")],
    json: JSON = False,
) -> None:
    """Import an organization from a file.

    It gets new ids. Either all of it is imported or nothing.
    """
    if not file.is_file():
        raise CommandError(f"there is no file {file}")
    keys = secret_keys(create=True)
    write(lambda tx: installation.adopt_key(tx, keys), create=True)
    store = open_store(load_settings())
    try:
        with opened() as database, progress() as on_progress:
            made = organization_import.import_file(
                database,
                file,
                store=store,
                cipher=Cipher(keys, endpoints.SEALING_PURPOSE),
                actor=ACTOR,
                now_ms=now_ms(),
                on_progress=on_progress,
            )
    finally:
        if store is not None:
            store.close()
    if json:
        print_json(made.as_json())
    else:
        say(f"Imported organization {made.organization_id}: {sum(made.counts.values())} rows.")
        say(f"Create an API token for it with `shopbell token create --organization {made.organization_id}`.")
    if made.webhooks:
        say(
            f"shopbell: {made.webhooks} webhooks are disabled because the file has no secrets; "
            "give them new ones with `shopbell webhooks rotate-secret`, then enable them with `update --enable`",
            error=True,
        )
    if made.missing:
        say(f"shopbell: the bytes of {made.missing} attachments are not in the file", error=True)


@contextmanager
def _output(name: str) -> Iterator[BinaryIO]:
    """Open the file to write, readable by its owner only. It appears when it is complete, and replaces no other."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(name)
    if target.exists():
        raise CommandError(f"{target} already exists")
    if not target.absolute().parent.is_dir():
        raise CommandError(f"there is no folder {target.parent}")
    with tempfile.TemporaryDirectory(prefix=".shopbell-", dir=target.absolute().parent) as folder:
        unfinished = Path(folder) / "organization.jsonl"
        with os.fdopen(owner_only(str(unfinished), os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        publish(unfinished, target)
