"""A finished file gets its name and replaces no other, also on file systems without hard links."""

import os
from pathlib import Path

import pytest

from shopbell.errors import CommandError
from shopbell.security.files import publish


@pytest.fixture(params=[True, False], ids=["with hard links", "without hard links"])
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A finished file, and the name that it gets."""

    def no_links(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    if not request.param:
        monkeypatch.setattr(os, "link", no_links)
    unfinished = tmp_path / "unfinished"
    unfinished.write_text("new")
    return unfinished, tmp_path / "shop.backup"


def test_a_finished_file_gets_its_name(files: tuple[Path, Path]) -> None:
    unfinished, file = files
    publish(unfinished, file)
    assert file.read_text() == "new"


def test_a_file_created_in_the_meantime_is_not_replaced(files: tuple[Path, Path]) -> None:
    unfinished, file = files
    file.write_text("other")
    with pytest.raises(CommandError, match="already exists"):
        publish(unfinished, file)
    assert (file.read_text(), unfinished.read_text()) == ("other", "new")
