"""The page about employees matches the code."""

import re

from harness import ROOT
from shopbell.accounts.permissions import PERMISSIONS, ROLES


def test_the_table_of_permissions_is_that_of_the_code() -> None:
    page = (ROOT / "docs/employees.md").read_text()
    header = "| permission | " + " | ".join(ROLES) + " |"
    assert header in page
    rows = re.findall(r"^\| `([a-z]+:[a-z]+)` \| (.+) \|$", page, re.MULTILINE)
    shown = {name: cells.split(" | ") for name, cells in rows}
    expected = {name: ["yes" if name in permitted else "no" for permitted in ROLES.values()] for name in PERMISSIONS}
    assert shown == expected
