"""Customers of a CSV file are created once, or completed."""

from pathlib import Path
from typing import Any

import pytest

from harness.installation import Installation
from harness.shop import Shop
from harness.world import World

ROWS = """email;phone;name;company;color
Carol@example.com;(617) 555-0100;Carol Jones;Acme;red
;(617) 555-0101;Dave;;blue
carol@EXAMPLE.com;;;Acme Ltd;
not an address;call me;Bob;;
erin@example.com;call me;Erin;;
"""


class Contacts:
    """Imports files into Acme."""

    def __init__(self, installation: Installation, people: World, folder: Path) -> None:
        self.installation, self.people, self.path = installation, people, folder / "customers.csv"

    def options(self, *options: object) -> tuple[object, ...]:
        """The options of an import with Boston's region."""
        acme, boston = self.people.acme, self.people.boston
        return ("import", "contacts", self.path, "--organization", acme, "--business", boston, *options)

    def run(self, *options: object, rows: str = ROWS) -> dict[str, Any]:
        """Import a file, and return the report."""
        self.path.write_text(rows)
        report: dict[str, Any] = self.installation.cli(*self.options(*options))
        return report

    def customers(self) -> list[tuple[str | None, str | None, str | None]]:
        """First name, last name and company of Acme's customers."""
        query = "SELECT first_name, last_name, company FROM customers WHERE organization_id = :acme ORDER BY id"
        return [tuple(row.values()) for row in self.installation.database.rows(query, acme=int(self.people.acme))]

    def identities(self) -> set[tuple[str, str]]:
        """Kind and value of the identities of Acme's customers."""
        query = "SELECT kind, value FROM customer_identities WHERE organization_id = :acme"
        rows = self.installation.database.rows(query, acme=int(self.people.acme))
        return {(row["kind"], row["value"]) for row in rows}


@pytest.fixture
def contacts(installation: Installation, people: World, tmp_path: Path) -> Contacts:
    """Acme's imports."""
    return Contacts(installation, people, tmp_path)


def skipped(report: dict[str, Any]) -> dict[str, list[str]]:
    """The places of what was left out, by its reason."""
    return {each["reason"]: each["places"] for each in report["skipped"]}


def test_customers_are_created_once(contacts: Contacts) -> None:
    report = contacts.run()
    assert report["customers"] == {"new": 3, "known": 0}
    assert skipped(report) == {
        "broken: has no valid email address or phone number": ["customers.csv:5"],
        "not a phone number, or without a country code": ["customers.csv:5", "customers.csv:6"],
        "not an email address": ["customers.csv:5"],
    }
    assert contacts.customers() == [("Carol", "Jones", "Acme"), ("Dave", None, None), ("Erin", None, None)]
    assert contacts.identities() == {
        ("email", "carol@example.com"),
        ("email", "erin@example.com"),
        ("phone", "+16175550100"),
        ("phone", "+16175550101"),
    }
    assert contacts.run()["customers"] == {"new": 0, "known": 3}
    assert len(contacts.customers()) == 3


def test_a_dry_run_of_contacts_reports_the_same_and_writes_nothing(contacts: Contacts) -> None:
    planned = contacts.run("--dry-run")
    assert contacts.customers() == []
    assert contacts.run() == planned | {"dryRun": False}


def test_empty_fields_of_known_customers_are_filled_and_others_stay(contacts: Contacts, people: World) -> None:
    with contacts.installation.serving(run_worker=False) as server:
        shop = Shop(server, people)
        shop.send(user={"email": "carol@example.com", "name": "Caroline"})
        report = contacts.run()
        assert report["customers"] == {"new": 2, "known": 1}
        assert contacts.customers()[0] == ("Caroline", None, "Acme")
        (event,) = shop.database.rows("SELECT details FROM events WHERE type = 'customer-updated'")
        assert event["details"] == '{"fields": ["company"]}'


def test_strict_imports_no_customer_if_a_row_is_broken(contacts: Contacts) -> None:
    contacts.path.write_text(ROWS)
    done = contacts.installation.run(*contacts.options("--strict"))
    assert (done.returncode, done.stderr) == (
        1,
        "shopbell: customers.csv, line 5: the record has no valid email address or phone number; "
        "nothing was imported\n",
    )
    assert contacts.customers() == []


def test_numbers_need_a_region(contacts: Contacts, people: World) -> None:
    contacts.path.write_text("phone\n06 12 34 56 78\n+44 20 7946 0958\n")
    command = ("import", "contacts", contacts.path, "--organization", people.acme)
    contacts.installation.cli(*command)  # Acme's businesses have several regions
    assert contacts.identities() == {("phone", "+442079460958")}
    contacts.installation.cli(*command, "--business", people.paris)
    assert contacts.identities() == {("phone", "+442079460958"), ("phone", "+33612345678")}


def test_a_wrong_column_option_is_refused(contacts: Contacts) -> None:
    contacts.path.write_text(ROWS)
    done = contacts.installation.run(*contacts.options("--column", "color=red"))
    assert done.returncode == 2
    assert "must be FIELD=HEADING" in done.stderr
