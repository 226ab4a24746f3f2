"""A restore with the programs of a newer PostgreSQL than the server."""

import pytest

from shopbell.operations.backups.pg_tools import _is_for_server

SETTING = b"SET transaction_timeout = 0;\n"


@pytest.mark.parametrize(("server_version", "is_sent"), [(16, False), (17, True), (18, True)])
def test_a_setting_that_an_older_server_does_not_know_is_omitted(server_version: int, is_sent: bool) -> None:
    assert _is_for_server(SETTING, server_version) is is_sent
    assert _is_for_server(b"SET lock_timeout = 0;\n", server_version)


@pytest.mark.parametrize("line", [b"\\restrict a1B2\n", b"\\unrestrict a1B2\n"])
def test_what_a_script_contains_for_psql_is_omitted(line: bytes) -> None:
    assert not _is_for_server(line, 18)
    assert _is_for_server(b"SELECT '" + line, 18)
