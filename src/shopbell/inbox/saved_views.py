"""Saved views: named filters of the list of conversations. Owns their table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from shopbell.db.businesses import Businesses
from shopbell.db.ids import ID_END, take_id
from shopbell.db.schema.inbox_tools import saved_views
from shopbell.errors import Conflict, FieldError, Invalid, NotFound, RequestError
from shopbell.events import audit
from shopbell.formats.channels import CHANNELS
from shopbell.inbox.conversation_list import Sort, View, Wanted
from shopbell.organizations import employees

OWN_MAX = 100
"""The maximum number of views of an employee."""

SHARED_MAX = 200
"""The maximum number of shared views of an organization."""

QUERY_MAX_CHARACTERS = 500


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 16 and 0 < int(text) < ID_END and text[0] != "0"


_FILTERS: Mapping[str, Callable[[str], bool]] = {
    "view": get_args(View).__contains__,
    "businessId": _is_id,
    "assigneeUserId": _is_id,
    "tagId": _is_id,
    "channel": CHANNELS.__contains__,
    "sort": get_args(Sort).__contains__,
}
"""The parameters of ``GET /api/inbox/threads`` that a view may contain, with the check of their values."""

_C = saved_views.c


@dataclass(frozen=True, slots=True)
class SavedView:
    """A saved view. Times are Unix ms.

    Args:
        employee_id: who made it; None for a program.
        query: the filters, as in the address of ``GET /api/inbox/threads``.
        shared: whether all employees see it.
    """

    organization_id: int
    id: int
    employee_id: int | None
    name: str
    query: str
    shared: bool
    created_at_ms: int
    updated_at_ms: int


class OfAnother(RequestError):
    """403: the shared view of another employee."""

    def __init__(self) -> None:
        super().__init__(
            "Only the employee who made this view, and employees who manage the inbox, can change it.",
            "The view belongs to another employee, and permission 'inbox:manage' is missing",
        )


def check_query(text: str) -> str:
    """Return the filters of a view in their stored form: each once, in a fixed order.

    Raises:
        ValueError: they are not valid; the message is the end of a sentence.
    """
    names = ", ".join(_FILTERS)
    if len(text) > QUERY_MAX_CHARACTERS:
        raise ValueError(f"must have at most {QUERY_MAX_CHARACTERS} characters")
    given = parse_qsl(text, keep_blank_values=True)
    found = dict(given)
    if not found or len(found) < len(given) or found.keys() - _FILTERS.keys():
        raise ValueError(f"must contain some of the parameters {names}, each once")
    for name, value in found.items():
        if not _FILTERS[name](value):
            raise ValueError(f"must contain a valid {name}")
    return urlencode({name: found[name] for name in _FILTERS if name in found})


def create(
    tx: Connection,
    organization_id: int,
    name: str,
    query: str,
    *,
    shared: bool,
    employee_id: int | None,
    actor: str,
    now_ms: int,
) -> SavedView:
    """Create a saved view.

    Args:
        name: 1 to 200 characters.
        query: from ``check_query``.
        shared: whether all employees see it.
        employee_id: whose view it is; None for a program, whose views are shared.
        actor: who creates it, as the audit log names them.

    Raises:
        NotFound: 404; there is no such employee.
        Invalid: 400; a program makes a private view.
        Conflict: 409; there are too many.
    """
    if employee_id is None and not shared:
        raise Invalid([FieldError("shared", "invalid_value", "must be true without an employee")])
    employees.check_acting(tx, organization_id, employee_id, lock=True)
    if employee_id is not None and _count(tx, organization_id, _C.employee_id == employee_id) >= OWN_MAX:
        raise Conflict(f"An employee can have at most {OWN_MAX} views. Delete one first.")
    if shared:
        _check_shared(tx, organization_id)
    view = SavedView(organization_id, take_id(tx), employee_id, name, query, shared, now_ms, now_ms)
    tx.execute(insert(saved_views).values({field: getattr(view, field) for field in SavedView.__dataclass_fields__}))
    if shared:
        _audit(tx, view, "create", actor=actor, now_ms=now_ms)
    return view


def change(
    tx: Connection,
    organization_id: int,
    view_id: int,
    changes: Mapping[str, Any],
    *,
    employee_id: int | None,
    manages: bool,
    actor: str,
    now_ms: int,
) -> None:
    """Change a view.

    Args:
        changes: some of ``name``, ``query`` and ``shared``, as in ``create``.
        employee_id: who changes it; None for a program.
        manages: whether they may change the shared views of others.
        actor: who changes it, as the audit log names them.

    Raises:
        NotFound: 404; there is no such employee or view, or it is private to another employee.
        OfAnother: 403.
        Invalid: 400; the view of a program is made private.
        Conflict: 409; there are too many shared views.
    """
    view = _lock(tx, organization_id, view_id, employee_id, manages=manages)
    changed = {field: value for field, value in changes.items() if getattr(view, field) != value}
    if not changed:
        return
    if changed.get("shared") is False and view.employee_id is None:
        raise Invalid([FieldError("shared", "invalid_value", "must be true, because no employee made this view")])
    if changed.get("shared"):
        _check_shared(tx, organization_id)
    this = (_C.organization_id == organization_id) & (_C.id == view_id)
    tx.execute(update(saved_views).where(this).values(changed | {"updated_at_ms": now_ms}))
    if view.shared or changed.get("shared"):
        _audit(tx, view, "update", actor=actor, now_ms=now_ms)


def remove(
    tx: Connection,
    organization_id: int,
    view_id: int,
    *,
    employee_id: int | None,
    manages: bool,
    actor: str,
    now_ms: int,
) -> None:
    """Delete a view; the arguments are those of ``change``.

    Raises:
        NotFound: 404; there is no such employee or view, or it is private to another employee.
        OfAnother: 403.
    """
    view = _lock(tx, organization_id, view_id, employee_id, manages=manages)
    tx.execute(delete(saved_views).where(_C.organization_id == organization_id, _C.id == view_id))
    if view.shared:
        _audit(tx, view, "delete", actor=actor, now_ms=now_ms)


def find_visible(
    tx: Connection,
    organization_id: int,
    employee_id: int | None,
    *,
    businesses: Businesses = None,
    after_id: int = 0,
    limit: int | None = None,
) -> list[SavedView]:
    """The shared views of an organization and an employee's own, the oldest first.

    Args:
        employee_id: the employee; None for shared views only.
        businesses: leave out the views of other employees for a business that is not one of these.
        after_id: only views with a greater id.
        limit: how many at most; None for all.

    Raises:
        NotFound: 404; there is no such employee.
    """
    employees.check_acting(tx, organization_id, employee_id)
    seen = _C.shared if employee_id is None else _C.shared | (_C.employee_id == employee_id)
    query = select(saved_views).where(_C.organization_id == organization_id, seen, _C.id > after_id)
    if businesses is None:
        query = query.limit(limit)
    found = [SavedView(**row) for row in tx.execute(query.order_by(_C.id)).mappings()]
    # Filtered here, at most OWN_MAX + SHARED_MAX: the business is in the text of the query.
    return [
        view
        for view in found
        if businesses is None
        or (employee_id is not None and view.employee_id == employee_id)
        or Wanted.of_query(view.query).business_id in (None, *businesses)
    ][:limit]


def delete_private(tx: Connection, organization_id: int, employee_id: int) -> None:
    """Delete the private views of an employee who has left."""
    of_employee = (_C.organization_id == organization_id, _C.employee_id == employee_id)
    tx.execute(delete(saved_views).where(*of_employee, ~_C.shared))


def _count(tx: Connection, organization_id: int, which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(saved_views).where(_C.organization_id == organization_id, which)
    return tx.execute(query).scalar_one()


def _check_shared(tx: Connection, organization_id: int) -> None:
    if _count(tx, organization_id, _C.shared) >= SHARED_MAX:
        raise Conflict(f"An organization can have at most {SHARED_MAX} shared views. Delete one first.")


def _lock(tx: Connection, organization_id: int, view_id: int, employee_id: int | None, *, manages: bool) -> SavedView:
    employees.check_acting(tx, organization_id, employee_id)
    query = select(saved_views).where(_C.organization_id == organization_id, _C.id == view_id)
    row = tx.execute(query.with_for_update()).mappings().first()
    view = None if row is None else SavedView(**row)
    is_own = view is not None and employee_id is not None and view.employee_id == employee_id
    if view is None or not (view.shared or is_own):
        raise NotFound("savedViewId")
    if not (is_own or manages):
        raise OfAnother
    return view


def _audit(tx: Connection, view: SavedView, verb: str, *, actor: str, now_ms: int) -> None:
    audit.record(tx, view.organization_id, actor, f"saved-view.{verb}", f"saved view {view.id}", now_ms=now_ms)
