"""Read all files of an import, before anything is written."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from shopbell.errors import CommandError
from shopbell.imports import json_lines
from shopbell.imports.formats import Format
from shopbell.imports.model import BrokenRecord, Conversation, Person, Record, SkippedRecord
from shopbell.imports.report import Place, Report
from shopbell.imports.spool import Spool

Progress = Callable[[str, int, int], None]
"""Called with the current step, what is done of it, and all of it."""


def read_files(
    files: Sequence[Path],
    format_: Format,
    spool: Spool,
    report: Report,
    *,
    is_strict: bool,
    on_progress: Progress,
) -> None:
    """Read files line by line into the spool.

    Args:
        is_strict: whether the first broken record ends the import.

    Raises:
        CommandError: a file does not have one JSON object per line, or a record is broken and ``is_strict``.
    """
    sizes = [path.stat().st_size for path in files]
    for index, path in enumerate(files):
        before = sum(sizes[:index])
        with path.open("rb") as file:
            for number, found in json_lines.read(file, path):
                on_progress("reading", before + file.tell(), sum(sizes))
                place = Place(path.name, number)
                if isinstance(found, BrokenRecord):
                    note_broken(found, place, report, is_strict=is_strict)
                    continue
                for line in found:
                    for record in format_.records(line):
                        try:
                            _keep(format_.read(record), spool, report, place)
                        except BrokenRecord as error:
                            note_broken(error, place, report, is_strict=is_strict)
                        except SkippedRecord as skipped:
                            report.skip("record", str(skipped), place)


def _keep(found: Iterable[Record], spool: Spool, report: Report, place: Place) -> None:
    for each in found:
        if isinstance(each, Person):
            spool.add_person(each)
        else:
            _keep_conversation(each, spool, report, place)


def _keep_conversation(conversation: Conversation, spool: Spool, report: Report, place: Place) -> None:
    if not spool.add_conversation(conversation, place):
        report.skip("record", "repeated: the last one with the same id counts", place, conversation.id)
    for note in conversation.notes:
        report.skip("message", note, place, conversation.id)


def note_broken(error: BrokenRecord, place: Place, report: Report, *, is_strict: bool) -> None:
    """Count a broken record.

    Raises:
        CommandError: ``is_strict``.
    """
    if is_strict:
        raise CommandError(f"{place.file}, line {place.line}: the record {error}; nothing was imported")
    report.skip("record", f"broken: {error}", place)
