"""What customers answer when they are asked how it was. Owns the answers; ``outreach/`` asks."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, select, update

from shopbell import customers, events, threads
from shopbell.errors import Conflict, Fault, Invalid, NotFound
from shopbell.storage.customer_schema import surveys

SCORES: Final = {"nps": range(11), "csat": range(1, 6)}
"""What may be answered, by the kind of question."""

COMMENT_MAX_CHARACTERS: Final = 2_000
"""How much a customer may add."""

_C = surveys.c


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer; ``at_ms`` is when, in Unix ms."""

    kind: str
    score: int
    at_ms: int


class AlreadyAnswered(Conflict):
    """409: the question was answered in another way before."""

    def __init__(self) -> None:
        super().__init__("This question has been answered already.", "The survey has been answered")


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
    """Keep what a customer answers; the same answer once more changes nothing.

    Args:
        tx: the transaction; nothing may follow in it.
        organization_id: whose customer.
        survey_id: the question.
        thread_ids: the conversations that he may see.
        score: 0 to 10 of ``nps``, 1 to 5 of ``csat``.
        comment: what he adds.
        now_ms: the time in Unix ms.

    Raises:
        NotFound: 404; he was not asked that.
        Invalid: 400; there is no such score.
        Conflict: 409; he has answered something else already.
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
        raise Invalid([Fault("body", "#/score", "invalid_value", detail)])
    text = (comment or "").strip() or None
    if asked.answered_at_ms is not None:
        if (asked.score, asked.comment) == (score, text):
            return
        raise AlreadyAnswered
    tx.execute(update(surveys).where(this).values(answered_at_ms=now_ms, score=score, comment=text))
    details = {"surveyId": str(survey_id), "kind": asked.kind, "score": score}
    place = threads.in_thread(thread)
    events.record(tx, organization_id, "survey-answered", now_ms=now_ms, thread=place, details=details)


def last_answers(tx: Connection, organization_id: int, customer_id: int) -> dict[str, Answered]:
    """A customer's last answer to each kind of question, those of whoever was merged into him included.

    Args:
        tx: the transaction.
        organization_id: the caller's organization.
        customer_id: the customer.
    """
    family = customers.family(tx, organization_id, customer_id)
    query = (
        select(_C.kind, _C.score, _C.answered_at_ms)
        # The zero keeps SQLite off the primary key, of which it would read all that the organization has.
        .where(_C.organization_id + 0 == organization_id, _C.customer_id.in_(family), _C.answered_at_ms.is_not(None))
        .order_by(_C.answered_at_ms)
    )
    return {row.kind: Answered(row.kind, row.score, row.answered_at_ms) for row in tx.execute(query)}
