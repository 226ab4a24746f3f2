"""What an import has read waits on the disk, in a file that has no name."""

from pathlib import Path

import pytest

from shopbell.imports.model import Conversation, Message, Person
from shopbell.imports.report import Place
from shopbell.imports.spool import Spool

PLACE = Place("tickets.json", 1)


def conversation(number: int, text: str = "x") -> Conversation:
    """A conversation that begins so many ms after 1970."""
    message = Message(number, text, None, "user:1", internal=True, files=("a.png",))
    return Conversation(
        str(number), "user:1", "EMAIL", "open", (message,), ("7",), "Order", ("a", "b"), "user:2", ("n",)
    )


def open_files() -> dict[str, int]:
    """The size of each file that this process has open, by its name."""
    files = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            files[str(link.readlink())] = link.stat().st_size
        except OSError:  # the folder itself
            continue
    return files


def test_conversations_return_as_they_were_in_the_order_in_which_they_began() -> None:
    with Spool() as spool:
        assert spool.add_conversation(conversation(3), PLACE)
        assert spool.add_conversation(conversation(2), PLACE)
        assert not spool.add_conversation(conversation(3), Place("tickets.json", 9))
        assert list(spool.conversations()) == [
            (conversation(2), PLACE),
            (conversation(3), Place("tickets.json", 9)),
        ]
        assert spool.size == 2


def test_what_several_records_tell_of_a_person_is_put_together() -> None:
    with Spool() as spool:
        spool.add_person(Person("user:1", "Alice", "alice@acme.example"))
        spool.add_person(Person("user:1", phone="+16175550100", is_employee=True))
        spool.add_person(Person("user:1", "Alice Miller"))
        expected = Person("user:1", "Alice Miller", "alice@acme.example", "+16175550100", is_employee=True)
        assert spool.person("user:1") == expected
        assert spool.person("user:2") is None


def test_conversations_are_on_the_disk_in_a_file_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        for number in range(40):
            spool.add_conversation(conversation(number, "x" * 1_000_000), PLACE)
        assert list(tmp_path.iterdir()) == []
        (size,) = (size for name, size in open_files().items() if name.startswith(str(tmp_path)))
        assert size > 20_000_000  # the rest is in a cache of 16 MB
        assert len(list(spool.conversations())) == 40
    assert not any(name.startswith(str(tmp_path)) for name in open_files())
