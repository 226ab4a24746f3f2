"""The query of ``docs/import.md`` writes conversations that ``shopbell import chatwoot`` reads."""

import json
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, make_url

from harness import ROOT
from harness.chatwoot_tables import TABLES
from harness.databases import SharedPostgres
from shopbell.imports.formats import FORMATS
from shopbell.imports.model import Conversation, Person


@pytest.fixture
def chatwoot(shared_postgres: SharedPostgres) -> Iterator[Connection]:
    """A database with two conversations of account 1."""
    shared_postgres.command("CREATE DATABASE chatwoot_production")
    url = make_url(shared_postgres.url("chatwoot_production")).set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(TABLES)
            yield connection
    finally:
        engine.dispose()
        shared_postgres.command("DROP DATABASE chatwoot_production")


def test_the_documented_query_writes_one_conversation_per_line(chatwoot: Connection) -> None:
    page = (ROOT / "docs" / "import.md").read_text()
    (query,) = re.findall(r"^```sql\n(.*?);\n```$", page, re.DOTALL | re.MULTILINE)
    lines = [str(row[0]) for row in chatwoot.exec_driver_sql(f"SELECT line::text FROM ({query}) AS found (line)")]
    assert all("\n" not in line for line in lines)
    format_ = FORMATS["chatwoot"]
    found = [each for line in lines for record in format_.records(json.loads(line)) for each in format_.read(record)]
    first, second = (each for each in found if isinstance(each, Conversation))
    assert (first.id, first.status, first.subject, first.channel) == ("12", "resolved", "My order", "EMAIL")
    assert (first.tags, first.inboxes, first.assignee_key) == (("delivery", "vip"), ("3", "Support"), "user:2")
    assert [(each.author, each.text, each.internal) for each in first.messages] == [
        ("customer", 'Where is it?\nIt was "blue".', False),
        ("employee", "On its way.", False),
        ("employee", "Called them", True),
        ("program", "Rate us", False),
    ]
    assert [each.at_ms for each in first.messages][:2] == [1_700_000_000_000, 1_700_000_060_500]
    assert (second.id, second.status, second.messages[0].files) == ("13", "open", ("photo.jpg",))
    assert {each for each in found if isinstance(each, Person)} == {
        Person("contact:8", "Carol Jones", "carol@example.com", company="Jones Ltd"),
        Person("user:2", "Alice", "alice@acme.example", is_employee=True),
    }
