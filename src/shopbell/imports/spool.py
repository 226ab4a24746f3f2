"""Keep what was read from large files on the disk, in a temporary SQLite database.

The file is in the folder for temporary files (``TMPDIR``), for its owner only. Its name is removed at once, so that it
is gone when the process ends.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from shopbell.db.sqlite import driver
from shopbell.imports.model import Conversation, Message, Person
from shopbell.imports.report import Place

_TABLES = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -16000;
CREATE TABLE people (
    key TEXT PRIMARY KEY, name TEXT, email TEXT, phone TEXT, company TEXT, locale TEXT, is_employee INT
) WITHOUT ROWID;
CREATE TABLE conversations (id TEXT UNIQUE, began_at_ms INT, file TEXT, line INT, data BLOB);
CREATE INDEX conversations_in_order ON conversations (began_at_ms, id);
CREATE TABLE customers (id INTEGER PRIMARY KEY, is_new INT);
CREATE TABLE identities (kind TEXT, value TEXT, customer_id INT, PRIMARY KEY (kind, value)) WITHOUT ROWID;
CREATE TABLE anonymous (key TEXT PRIMARY KEY, customer_id INT) WITHOUT ROWID;
BEGIN;
"""

_ADD_PERSON = """
INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    name = coalesce(nullif(excluded.name, ''), name),
    email = coalesce(nullif(excluded.email, ''), email),
    phone = coalesce(nullif(excluded.phone, ''), phone),
    company = coalesce(nullif(excluded.company, ''), company),
    locale = coalesce(nullif(excluded.locale, ''), locale),
    is_employee = max(excluded.is_employee, is_employee)
"""


class Spool:
    """What was read, until it is written. Close it at the end, as a context manager."""

    def __init__(self) -> None:
        # SQLite's own temporary databases would be in memory: its wheel is built so.
        handle, name = tempfile.mkstemp(prefix="shopbell-import-")
        os.close(handle)
        try:
            self._database = driver.connect(name, isolation_level=None)
            self._database.executescript(_TABLES)
        finally:
            Path(name).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()

    def add_person(self, person: Person) -> None:
        """Add a person, or what is not known of them yet."""
        fields = (person.key, person.name, person.email, person.phone, person.company, person.locale)
        self._database.execute(_ADD_PERSON, (*fields, person.is_employee))

    def person(self, key: str) -> Person | None:
        """The person with a key."""
        row = self._database.execute("SELECT * FROM people WHERE key = ?", (key,)).fetchone()
        return None if row is None else replace(Person(*row[:-1]), is_employee=bool(row[-1]))

    def add_conversation(self, conversation: Conversation, place: Place) -> bool:
        """Add a conversation; False if it replaced one with its id."""
        remove = "DELETE FROM conversations WHERE id = ?"
        replaced = self._database.execute(remove, (conversation.id,)).rowcount
        row = (conversation.id, conversation.messages[0].at_ms, *place, orjson.dumps(conversation))
        self._database.execute("INSERT INTO conversations VALUES (?, ?, ?, ?, ?)", row)
        return bool(replaced == 0)

    def conversations(self) -> Iterator[tuple[Conversation, Place]]:
        """The conversations in the order in which they began."""
        query = "SELECT file, line, data FROM conversations ORDER BY began_at_ms, id"
        for file, line, data in self._database.execute(query):
            found = orjson.loads(data)
            messages = tuple(Message(**each | {"files": tuple(each["files"])}) for each in found["messages"])
            lists = {name: tuple(found[name]) for name in ("inboxes", "tags", "notes")}
            yield Conversation(**found | lists | {"messages": messages}), Place(file, line)

    @property
    def size(self) -> int:
        """The number of conversations."""
        (count,) = self._database.execute("SELECT count(*) FROM conversations").fetchone()
        return int(count)

    def add_customer(self, customer_id: int, *, is_new: bool) -> None:
        """Note the customer of a conversation; what is noted first counts."""
        self._database.execute("INSERT OR IGNORE INTO customers VALUES (?, ?)", (customer_id, is_new))

    def count_customers(self) -> tuple[int, int]:
        """How many new and known customers were noted."""
        query = "SELECT coalesce(sum(is_new), 0), count(*) FROM customers"
        new, count = self._database.execute(query).fetchone()
        return int(new), int(count - new)

    def holder(self, kind: str, value: str) -> int | None:
        """The customer who would have an identity after a dry run."""
        query = "SELECT customer_id FROM identities WHERE kind = ? AND value = ?"
        row = self._database.execute(query, (kind, value)).fetchone()
        return None if row is None else int(row[0])

    def add_holder(self, kind: str, value: str, customer_id: int) -> None:
        """Note the customer who would have an identity after a dry run."""
        self._database.execute("INSERT OR IGNORE INTO identities VALUES (?, ?, ?)", (kind, value, customer_id))

    def anonymous(self, key: str) -> int | None:
        """The customer of a person without address and number."""
        row = self._database.execute("SELECT customer_id FROM anonymous WHERE key = ?", (key,)).fetchone()
        return None if row is None else int(row[0])

    def add_anonymous(self, key: str, customer_id: int) -> None:
        """Note the customer of a person without address and number."""
        self._database.execute("INSERT OR IGNORE INTO anonymous VALUES (?, ?)", (key, customer_id))
