"""Records the statements of a transaction."""

from typing import Any

from sqlalchemy import Connection, event


class Recorded:
    """The statements of a transaction, with how many rows each has written."""

    def __init__(self, tx: Connection) -> None:
        self.written: dict[str, int] = {}
        self.statements: list[tuple[str, Any]] = []
        self._tx = tx
        event.listen(tx, "after_cursor_execute", self._note)

    def _note(self, _tx: Any, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        self.statements.append((statement, parameters[0] if many else parameters))
        verb, *words = statement.split()
        if verb in ("UPDATE", "INSERT", "DELETE"):
            table = words[0] if verb == "UPDATE" else words[1]
            self.written[table] = self.written.get(table, 0) + max(0, cursor.rowcount)

    def plans(self) -> list[str]:
        """How SQLite finds what the statements read."""
        said = list(self.statements)
        return [
            str(row.detail)
            for statement, parameters in said
            if statement.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")
            for row in self._tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
