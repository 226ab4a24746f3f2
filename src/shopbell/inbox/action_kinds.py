"""The kinds of actions on conversations: how each is done, and how it is undone.

Each kind calls the function of its subject once for each thread. A state is the part of a thread that an action
changes, as JSON. An action can be undone while the thread is still in the state that the action left.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection, select

from shopbell.conversations import assignment, threads
from shopbell.customers import canonical
from shopbell.db.businesses import Businesses
from shopbell.db.schema.core import assignments
from shopbell.db.schema.core import threads as threads_table
from shopbell.db.schema.inbox import employee_reads
from shopbell.errors import Conflict, FieldError, Invalid, NotFound
from shopbell.events.actors import Actor
from shopbell.inbox import reads, snoozes, tags
from shopbell.organizations import employees, organizations

State = Mapping[str, Any]
States = Mapping[int, State]
"""The state of each thread, by its id."""

_LAST_SEQUENCE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Who:
    """Who acts, and when.

    Args:
        caller_id: the token, or the employee who is signed in.
        employee_id: the employee; None for a program.
        businesses: the businesses whose threads they may change.
        now_ms: the time of the action in Unix ms.
    """

    caller_id: int
    employee_id: int | None
    businesses: Businesses
    now_ms: int

    @property
    def actor(self) -> Actor:
        """The actor of the events."""
        return Actor("token", self.caller_id) if self.employee_id is None else Actor("employee", self.employee_id)


class Kind(ABC):
    """A kind of action. A subclass is a dataclass, whose fields are stored as JSON."""

    type: ClassVar[str]

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        """Check the fields before the first thread is changed.

        Raises:
            RequestError: 400, 404.
        """
        del tx, organization_id, who

    def also_locks(self, tx: Connection, organization_id: int, thread_ids: Collection[int]) -> Iterable[int]:
        """Other threads that ``apply`` and ``restore`` must lock."""
        del tx, organization_id, thread_ids
        return ()

    @abstractmethod
    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        """The states of threads."""

    @abstractmethod
    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        """Do the action to a thread.

        Args:
            before: the state of the thread.

        Raises:
            RequestError: it cannot be done.
        """

    @abstractmethod
    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        """Restore an earlier state of a thread.

        Raises:
            RequestError: it cannot be done.
        """

    def is_same(self, one: State, other: State) -> bool:
        """Whether two states of a thread are the same for the purpose of an undo."""
        return one == other


@dataclass(frozen=True, slots=True)
class SetStatus(Kind):
    """Set the status."""

    type: ClassVar[str] = "status"
    status: threads.Status

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        c, snoozed = threads_table.c, _snoozes(tx, organization_id, thread_ids, who)
        query = select(c.id, c.status, c.last_customer_message_at_ms, c.last_reply_sequence)
        return {
            id_: {"status": status, "writtenAt": at_ms, "lastReply": sequence, **snoozed[id_]}
            for id_, status, at_ms, sequence in tx.execute(query.where(*_these(organization_id, thread_ids)))
        }

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        threads.update_status(tx, organization_id, thread_id, self.status, actor=who.actor)

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        threads.update_status(tx, organization_id, thread_id, state["status"], actor=who.actor)
        if self.status == "resolved":  # the other statuses end no snooze
            _snooze_again(tx, organization_id, thread_id, state, who)

    def is_same(self, one: State, other: State) -> bool:
        return _without_snooze(one) == _without_snooze(other)


@dataclass(frozen=True, slots=True)
class Assign(Kind):
    """Assign to an employee, or unassign."""

    type: ClassVar[str] = "assign"
    employee_id: int | None

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        del who
        if self.employee_id is not None and not employees.is_active(tx, organization_id, self.employee_id):
            raise NotFound("assigneeUserId")

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        del who
        c = assignments.c
        query = select(c.thread_id, c.employee_id, c.assigned_at_ms)
        these = (c.organization_id == organization_id, c.thread_id.in_(thread_ids))
        unassigned = {id_: {"employeeId": None, "at": None} for id_ in thread_ids}
        return unassigned | {
            id_: {"employeeId": employee_id, "at": at_ms} for id_, employee_id, at_ms in tx.execute(query.where(*these))
        }

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        self.restore(tx, organization_id, thread_id, {"employeeId": self.employee_id}, who)

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        if state["employeeId"] is None:
            assignment.unassign(tx, organization_id, thread_id, actor=who.actor)
        else:
            assignment.assign(tx, organization_id, thread_id, state["employeeId"], actor=who.actor)


@dataclass(frozen=True, slots=True)
class Transfer(Kind):
    """Transfer to another business."""

    type: ClassVar[str] = "transfer"
    business_id: int

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        _check_business(self.business_id, who)
        if organizations.find_business(tx, organization_id, self.business_id) is None:
            raise NotFound("businessId")

    def also_locks(self, tx: Connection, organization_id: int, thread_ids: Collection[int]) -> Iterable[int]:
        c = threads_table.c
        customer_ids = tx.scalars(select(c.customer_id).where(*_these(organization_id, thread_ids))).all()
        became = canonical.canonical_ids(tx, organization_id, customer_ids)
        families = canonical.all_with_merged(tx, organization_id, set(became.values()))
        owners = sorted({id_ for family in families.values() for id_ in family})
        query = select(c.id).where(c.organization_id == organization_id, c.customer_id.in_(owners))
        return tx.scalars(query).all()

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        c, snoozed = threads_table.c, _snoozes(tx, organization_id, thread_ids, who)
        query = select(c.id, c.business_id).where(*_these(organization_id, thread_ids))
        return {id_: {"businessId": business_id, **snoozed[id_]} for id_, business_id in tx.execute(query)}

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        if before["businessId"] != self.business_id:
            assignment.transfer(tx, organization_id, thread_id, self.business_id, actor=who.actor)

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        _check_business(state["businessId"], who)
        assignment.transfer(tx, organization_id, thread_id, state["businessId"], actor=who.actor)
        _snooze_again(tx, organization_id, thread_id, state, who)

    def is_same(self, one: State, other: State) -> bool:
        return _without_snooze(one) == _without_snooze(other)


class _Snoozing(Kind):
    """An action that changes the snooze."""

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        return _snoozes(tx, organization_id, thread_ids, who)

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        if state["snooze"] is None:
            snoozes.unsnooze(tx, organization_id, thread_id, actor=who.actor, now_ms=who.now_ms)
        elif state["snooze"]["until"] <= who.now_ms:
            raise Conflict("The time of the former snooze has passed.")
        else:
            _snooze(tx, organization_id, thread_id, state["snooze"], who)


@dataclass(frozen=True, slots=True)
class Snooze(_Snoozing):
    """Snooze until a time in Unix ms."""

    type: ClassVar[str] = "snooze"
    until_ms: int
    keep: bool = False

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        del tx, organization_id
        if self.until_ms <= who.now_ms:
            raise Invalid([FieldError("action/until", "invalid_value", "must be in the future")])

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        _snooze(tx, organization_id, thread_id, {"until": self.until_ms, "keep": self.keep}, who)


@dataclass(frozen=True, slots=True)
class Unsnooze(_Snoozing):
    """End the snooze."""

    type: ClassVar[str] = "unsnooze"

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        self.restore(tx, organization_id, thread_id, {"snooze": None}, who)


@dataclass(frozen=True, slots=True)
class SetTags(Kind):
    """Add tags and remove others."""

    type: ClassVar[str] = "tags"
    add: list[int]
    remove: list[int]

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        del who
        tags.check_distinct(self.add, self.remove, "action/removeTagIds")
        known = {tag.id for tag in tags.find_all(tx, organization_id)}
        for field, ids in (("addTagIds", self.add), ("removeTagIds", self.remove)):
            if not known.issuperset(ids):
                raise NotFound(field)

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        del who
        meant = {*self.add, *self.remove}
        found = tags.of_threads(tx, organization_id, thread_ids)
        return {id_: {"tags": [tag_id for tag_id in present if tag_id in meant]} for id_, present in found.items()}

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        self._set(tx, organization_id, thread_id, self.add, self.remove, who)

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        others = {*self.add, *self.remove} - {*state["tags"]}
        self._set(tx, organization_id, thread_id, state["tags"], others, who)

    def _set(
        self,
        tx: Connection,
        organization_id: int,
        thread_id: int,
        add: Collection[int],
        remove: Collection[int],
        who: Who,
    ) -> None:
        tags.set_on_thread(tx, organization_id, thread_id, add, remove, actor=who.actor, now_ms=who.now_ms)


class _Reading(Kind):
    """An action that changes which messages the employee has read."""

    def check(self, tx: Connection, organization_id: int, who: Who) -> None:
        del tx, organization_id
        _person(who)

    def read(self, tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
        c = employee_reads.c
        mine = (c.organization_id == organization_id, c.employee_id == who.employee_id, c.thread_id.in_(thread_ids))
        unread = {id_: {"sequence": 0, "unread": False} for id_ in thread_ids}
        query = select(c.thread_id, c.sequence, c.marked_unread).where(*mine)
        return unread | {
            id_: {"sequence": sequence, "unread": bool(is_unread)} for id_, sequence, is_unread in tx.execute(query)
        }

    def restore(self, tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
        reads.restore(
            tx,
            organization_id,
            _person(who),
            thread_id,
            state["sequence"],
            marked_unread=state["unread"],
            now_ms=who.now_ms,
        )


@dataclass(frozen=True, slots=True)
class Read(_Reading):
    """Mark as read by the employee."""

    type: ClassVar[str] = "read"

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        reads.mark_read(tx, organization_id, _person(who), thread_id, _LAST_SEQUENCE, now_ms=who.now_ms)


@dataclass(frozen=True, slots=True)
class Unread(_Reading):
    """Mark as unread by the employee."""

    type: ClassVar[str] = "unread"

    def apply(self, tx: Connection, organization_id: int, thread_id: int, before: State, who: Who) -> None:
        del before
        reads.mark_unread(tx, organization_id, _person(who), thread_id, now_ms=who.now_ms)


KINDS: Mapping[str, type[Kind]] = {
    kind.type: kind for kind in (SetStatus, Assign, Transfer, Snooze, Unsnooze, SetTags, Read, Unread)
}
"""The kinds, by the name in the API."""


def _these(organization_id: int, thread_ids: Collection[int]) -> tuple[Any, Any]:
    return threads_table.c.organization_id == organization_id, threads_table.c.id.in_(thread_ids)


def _snoozes(tx: Connection, organization_id: int, thread_ids: Collection[int], who: Who) -> States:
    """The snooze of each thread that has not ended by its time."""
    found = snoozes.find(tx, organization_id, thread_ids)
    return {
        id_: {
            "snooze": {"until": found[id_].until_ms, "keep": found[id_].keep}
            if id_ in found and found[id_].until_ms > who.now_ms
            else None
        }
        for id_ in thread_ids
    }


def _snooze(tx: Connection, organization_id: int, thread_id: int, snooze: Mapping[str, Any], who: Who) -> None:
    until_ms, keep = snooze["until"], snooze["keep"]
    snoozes.snooze(tx, organization_id, thread_id, until_ms, keep=keep, actor=who.actor, now_ms=who.now_ms)


def _snooze_again(tx: Connection, organization_id: int, thread_id: int, state: State, who: Who) -> None:
    """Restore the snooze that the undone action ended; a newer snooze stays."""
    has_ended = snoozes.find(tx, organization_id, [thread_id]) == {}
    former = state["snooze"]
    if has_ended and former is not None and former["until"] > who.now_ms and state.get("status") != "resolved":
        _snooze(tx, organization_id, thread_id, state["snooze"], who)


def _without_snooze(state: State) -> State:
    return {name: value for name, value in state.items() if name != "snooze"}


def _check_business(business_id: int, who: Who) -> None:
    if who.businesses is not None and business_id not in who.businesses:
        raise NotFound("businessId")


def _person(who: Who) -> int:
    """The employee who reads.

    Raises:
        Invalid: 400; there is none.
    """
    if who.employee_id is None:
        raise Invalid([FieldError("employeeUserId", "required", "is required with an API token")])
    return who.employee_id
