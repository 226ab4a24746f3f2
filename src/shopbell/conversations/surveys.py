"""Surveys: the questions that customers are asked, and their answers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, insert, select, update

from shopbell.conversations import threads
from shopbell.customers import canonical
from shopbell.db.ids import take_id
from shopbell.db.schema.customers import surveys
from shopbell.errors import Conflict, FieldError, Invalid, NotFound
from shopbell.events import record
from shopbell.events.actors import Actor

SCORES: Final = {"nps": range(11), "csat": range(1, 6)}
"""The valid scores of each kind of survey."""

COMMENT_MAX_CHARACTERS: Final = 2_000
"""The maximum length of a comment."""

_C = surveys.c


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer; ``at_ms`` is its time in Unix ms."""

    kind: str
    score: int
    at_ms: int


class AlreadyAnswered(Conflict):
    """The survey has another answer already."""

    def __init__(self) -> None:
        super().__init__("This question has been answered already.", "The survey has been answered")


def ask(tx: Connection, organization_id: int, thread_id: int, customer_id: int, kind: str, *, now_ms: int) -> int:
    """Store a survey that a customer is asked to answer.

    Args:
        tx: the transaction.
        organization_id: the organization.
        thread_id: the thread that it is about.
        customer_id: the customer.
        kind: a key of ``SCORES``.
        now_ms: the time in Unix ms.

    Returns:
        The id of the survey.
    """
    survey_id = take_id(tx)
    tx.execute(
        insert(surveys).values(
            organization_id=organization_id,
            id=survey_id,
            thread_id=thread_id,
            customer_id=customer_id,
            kind=kind,
            asked_at_ms=now_ms,
        )
    )
    return survey_id


def answer(
    tx: Connection,
    organization_id: int,
    survey_id: int,
    thread_ids: Collection[int],
    score: int,
    comment: str | None = None,
    *,
    now_ms: int,
) -> None:
    """Store a customer's answer; repeating the same answer changes nothing.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: the organization.
        survey_id: the survey.
        thread_ids: the threads that the customer may see.
        score: 0 to 10 for ``nps``, 1 to 5 for ``csat``.
        comment: an optional text.
        now_ms: the time in Unix ms.

    Raises:
        NotFound: the customer was not asked this.
        Invalid: the score is not valid.
        Conflict: there is another answer already.
    """
    thread_id = tx.scalar(select(_C.thread_id).where(_C.organization_id == organization_id, _C.id == survey_id))
    if thread_id is None or thread_id not in thread_ids:
        raise NotFound("surveyId", "session")
    thread = threads.lock(tx, organization_id, thread_id)
    this = and_(_C.organization_id == organization_id, _C.id == survey_id)
    asked = tx.execute(select(surveys).where(this).with_for_update()).one()
    allowed = SCORES[asked.kind]
    if score not in allowed:
        detail = f"must be a whole number from {allowed[0]} to {allowed[-1]}"
        raise Invalid([FieldError("score", "invalid_value", detail)])
    text = (comment or "").strip() or None
    if asked.answered_at_ms is not None:
        if (asked.score, asked.comment) == (score, text):
            return
        raise AlreadyAnswered
    tx.execute(update(surveys).where(this).values(answered_at_ms=now_ms, score=score, comment=text))
    details = {"surveyId": str(survey_id), "kind": asked.kind, "score": score}
    place = threads.in_thread(thread)
    record.record(
        tx,
        organization_id,
        "survey-answered",
        actor=Actor("customer", thread.customer_id),
        now_ms=now_ms,
        thread=place,
        details=details,
    )


def last_answers(tx: Connection, organization_id: int, customer_id: int) -> dict[str, Answered]:
    """A customer's last answer to each kind of survey, including merged customers.

    Args:
        tx: the transaction.
        organization_id: the organization.
        customer_id: the customer.
    """
    family = canonical.merged_ids(tx, organization_id, customer_id)
    query = (
        select(_C.kind, _C.score, _C.answered_at_ms)
        # The zero keeps SQLite from using the primary key, which would read all rows of the organization.
        .where(_C.organization_id + 0 == organization_id, _C.customer_id.in_(family), _C.answered_at_ms.is_not(None))
        .order_by(_C.answered_at_ms)
    )
    return {row.kind: Answered(row.kind, row.score, row.answered_at_ms) for row in tx.execute(query)}
