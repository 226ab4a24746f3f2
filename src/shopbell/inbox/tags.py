"""Tags, and which conversations have them. Owns their tables."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shopbell.conversations import threads
from shopbell.db.ids import take_id
from shopbell.db.schema.inbox_tools import tags, thread_tags
from shopbell.errors import Conflict, FieldError, Invalid, NotFound
from shopbell.events import audit, record
from shopbell.events.actors import Actor
from shopbell.formats import names
from shopbell.organizations import employees

TAGS_MAX = 500
"""The maximum number of tags of an organization."""

THREAD_TAGS_MAX = 50
"""The maximum number of tags of a thread."""

NAME_MAX_CHARACTERS = 50
DELETED_AT_ONCE = 1_000
"""The maximum number of threads from which one transaction removes a tag that is deleted."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag. ``color`` is ``#rrggbb`` in lower case or None; times are Unix ms."""

    organization_id: int
    id: int
    name: str
    name_key: str
    color: str | None
    created_at_ms: int


class NameTaken(Conflict):
    """409: the organization has a tag with that name, apart from case and accents."""

    def __init__(self) -> None:
        super().__init__("Another tag of the organization has that name.")


def create(tx: Connection, organization_id: int, name: str, color: str | None, *, actor: str, now_ms: int) -> Tag:
    """Create a tag.

    Args:
        name: 1 to 50 characters, without outer white space.
        color: ``#rrggbb`` in lower case.
        actor: who creates it, as the audit log names them.

    Raises:
        Conflict: 409; the name is taken, or the organization has ``TAGS_MAX`` tags.
    """
    of_organization = select(func.count()).where(tags.c.organization_id == organization_id)
    if tx.execute(of_organization).scalar_one() >= TAGS_MAX:
        raise Conflict(f"An organization can have at most {TAGS_MAX} tags. Delete one first.")
    tag = Tag(organization_id, take_id(tx), name, names.folded(name), color, now_ms)
    try:
        tx.execute(insert(tags).values({field: getattr(tag, field) for field in Tag.__dataclass_fields__}))
    except IntegrityError:
        raise NameTaken from None
    audit.record(tx, organization_id, actor, "tag.create", f"tag {tag.id}", now_ms=now_ms)
    return tag


def change(
    tx: Connection, organization_id: int, tag_id: int, changes: Mapping[str, str | None], *, actor: str, now_ms: int
) -> None:
    """Change a tag.

    Args:
        changes: ``name`` or ``color`` or both, as in ``create``.
        actor: who changes it, as the audit log names them.

    Raises:
        NotFound: 404.
        NameTaken: 409.
    """
    tag = _lock(tx, organization_id, tag_id)
    changed = {field: value for field, value in changes.items() if getattr(tag, field) != value}
    if not changed:
        return
    key = {"name_key": names.folded(changed["name"] or "")} if "name" in changed else {}
    c = tags.c
    try:
        this = update(tags).where(c.organization_id == organization_id, c.id == tag_id)
        tx.execute(this.values({**changed, **key}))
    except IntegrityError:
        raise NameTaken from None
    audit.record(tx, organization_id, actor, "tag.update", f"tag {tag_id}", now_ms=now_ms)


def remove(tx: Connection, organization_id: int, tag_id: int, *, actor: str, now_ms: int) -> bool:
    """Remove a tag from some threads, and delete it after the last one.

    Args:
        actor: who deletes it, as the audit log names them.

    Returns:
        Whether it is deleted. If not, call again.

    Raises:
        NotFound: 404.
    """
    _lock(tx, organization_id, tag_id)
    t = thread_tags.c
    # The zero keeps SQLite from using the primary key: it would read all rows of the organization.
    of_tag = (t.organization_id + 0 == organization_id, t.tag_id == tag_id)
    some = tx.scalars(select(t.thread_id).where(*of_tag).order_by(t.thread_id).limit(DELETED_AT_ONCE)).all()
    tx.execute(delete(thread_tags).where(*of_tag, t.thread_id.in_(some)))
    if len(some) == DELETED_AT_ONCE:
        return False
    tx.execute(delete(tags).where(tags.c.organization_id == organization_id, tags.c.id == tag_id))
    audit.record(tx, organization_id, actor, "tag.delete", f"tag {tag_id}", now_ms=now_ms)
    return True


def find_all(tx: Connection, organization_id: int, *, after_id: int = 0, limit: int | None = None) -> list[Tag]:
    """The tags of an organization, the oldest first.

    Args:
        after_id: only tags with a greater id.
        limit: how many at most; None for all.
    """
    c = tags.c
    query = select(tags).where(c.organization_id == organization_id, c.id > after_id).order_by(c.id).limit(limit)
    return [Tag(**row) for row in tx.execute(query).mappings()]


def of_threads(tx: Connection, organization_id: int, thread_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
    """The ids of the tags of each of these threads, in ascending order."""
    t = thread_tags.c
    found: dict[int, tuple[int, ...]] = dict.fromkeys(thread_ids, ())
    query = select(t.thread_id, t.tag_id).where(t.organization_id == organization_id, t.thread_id.in_(thread_ids))
    for thread_id, tag_id in tx.execute(query.order_by(t.thread_id, t.tag_id)):
        found[thread_id] += (tag_id,)
    return found


def check_distinct(add: Collection[int], remove: Collection[int], field: str = "removeTagIds") -> None:
    """Check that no tag is to be added and removed.

    Args:
        field: the path of the field with the tags to remove, for the error.

    Raises:
        Invalid: 400.
    """
    if not set(add).isdisjoint(remove):
        raise Invalid([FieldError(field, "invalid_value", "must not contain a tag that is also added")])


def set_on_thread(
    tx: Connection,
    organization_id: int,
    thread_id: int,
    add: Collection[int],
    remove: Collection[int],
    *,
    actor: Actor,
    now_ms: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Add tags to a thread, and remove others from it.

    Args:
        add: tags to add; those that the thread already has are ignored.
        remove: tags to remove; those that the thread does not have are ignored.
        actor: who does it.

    Returns:
        The tags that were added, and those that were removed.

    Raises:
        NotFound: 404; there is no such thread, tag or employee.
        Invalid: 400; a tag is to be added and removed.
        Conflict: 409; the thread would have more than ``THREAD_TAGS_MAX`` tags.
    """
    check_distinct(add, remove)
    thread = threads.lock(tx, organization_id, thread_id)
    employees.check_acting(tx, organization_id, actor.employee_id)
    for field, ids in (("addTagIds", add), ("removeTagIds", remove)):
        if not _exist(tx, organization_id, ids):
            raise NotFound(field)
    present = set(of_threads(tx, organization_id, [thread_id])[thread_id])
    added, removed = sorted(set(add) - present), sorted(set(remove) & present)
    if not added and not removed:
        return (), ()
    if len(present) + len(added) - len(removed) > THREAD_TAGS_MAX:
        raise Conflict(f"A conversation can have at most {THREAD_TAGS_MAX} tags. Remove one first.")
    t, key = thread_tags.c, {"organization_id": organization_id, "thread_id": thread_id}
    of_thread = (t.organization_id == organization_id, t.thread_id == thread_id)
    tx.execute(delete(thread_tags).where(*of_thread, t.tag_id.in_(removed)))
    if added:
        tx.execute(insert(thread_tags), [key | {"tag_id": id_} for id_ in added])
    details = {"addedTagIds": added, "removedTagIds": removed}
    in_thread = threads.in_thread(thread)
    record.record(tx, organization_id, "tags", actor=actor, now_ms=now_ms, thread=in_thread, details=details)
    return tuple(added), tuple(removed)


def add_quietly(tx: Connection, organization_id: int, thread_id: int, tag_ids: Sequence[int]) -> None:
    """Add tags to a thread that is being imported, without an event; those that do not fit are left out.

    Args:
        thread_id: its row is locked by the transaction.
        tag_ids: tags of the organization, by ascending id.
    """
    present = of_threads(tx, organization_id, [thread_id])[thread_id]
    there = select(tags.c.id).where(tags.c.organization_id == organization_id, tags.c.id.in_(tag_ids))
    still = tx.scalars(there.order_by(tags.c.id).with_for_update(read=True)).all() if tag_ids else []
    added = [id_ for id_ in still if id_ not in present][: THREAD_TAGS_MAX - len(present)]
    if added:
        key = {"organization_id": organization_id, "thread_id": thread_id}
        tx.execute(insert(thread_tags), [key | {"tag_id": id_} for id_ in added])


def _exist(tx: Connection, organization_id: int, tag_ids: Collection[int]) -> bool:
    """Whether all of these tags exist; locks them until the transaction ends."""
    c, ids = tags.c, sorted(set(tag_ids))
    if not ids:
        return True
    query = select(c.id).where(c.organization_id == organization_id, c.id.in_(ids)).order_by(c.id)
    return len(tx.execute(query.with_for_update(read=True)).all()) == len(ids)


def _lock(tx: Connection, organization_id: int, tag_id: int) -> Tag:
    c = tags.c
    query = select(tags).where(c.organization_id == organization_id, c.id == tag_id).with_for_update()
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFound("tagId")
    return Tag(**row)
