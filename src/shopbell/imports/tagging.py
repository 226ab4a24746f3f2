"""Create the tags of imported conversations."""

from collections.abc import Iterable

from shopbell.db.database import Database
from shopbell.errors import Conflict
from shopbell.formats import names
from shopbell.imports.report import Place, Report
from shopbell.inbox import tags
from shopbell.runtime.clock import now_ms

_UNKNOWN_ID = 0


class Tagging:
    """Finds tags by their names, and creates missing ones unless it is a dry run.

    Args:
        database: the database.
        organization_id: the organization.
        report: counts the tags that an organization has no room for.
        actor: the actor of the audit entries.
    """

    def __init__(self, database: Database, organization_id: int, report: Report, *, actor: str) -> None:
        self._database = database
        self._organization_id = organization_id
        self._report = report
        self._actor = actor
        self._ids = {tag.name_key: tag.id for tag in database.read_now(tags.find_all, organization_id)}

    def create(self, wanted: Iterable[str], place: Place) -> None:
        """Create the tags with these names that are missing."""
        for name in wanted:
            key = names.folded(name)
            if key in self._ids:
                continue
            if len(self._ids) >= tags.TAGS_MAX:
                self._report.skip("tag", f"an organization can have {tags.TAGS_MAX} tags", place)
            else:
                self._ids[key] = _UNKNOWN_ID if self._report.is_dry_run else self._create(name)

    def ids(self, wanted: Iterable[str]) -> list[int]:
        """The ids of the tags with these names that exist, ascending."""
        found = {self._ids.get(names.folded(name), _UNKNOWN_ID) for name in wanted}
        return sorted(found - {_UNKNOWN_ID})

    def _create(self, name: str) -> int:
        one = (self._organization_id, name, None)
        try:
            return self._database.write_now(tags.create, *one, actor=self._actor, now_ms=now_ms()).id
        except Conflict:  # an employee has created it since, or the last one that there was room for
            known = self._database.read_now(tags.find_all, self._organization_id)
            return next((tag.id for tag in known if tag.name_key == names.folded(name)), _UNKNOWN_ID)
