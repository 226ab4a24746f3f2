"""Spans of the group commit. Imported only if traces are on: nothing here costs anything otherwise.

Each message that is stored has a span in the trace of its request, from the queue to the end of its commit. One commit
stores many messages: its span is in the trace of the first of them, and the spans of the others link to it.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from opentelemetry.trace import Span, SpanContext, StatusCode, Tracer, get_current_span, set_span_in_context

from shopbell.db.group_commit import Done, Entry

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Commit:
    """One commit; ``span`` is set once its span exists."""

    messages: int
    begun_ns: int
    ended_ns: int = 0
    has_failed: bool = False
    span: SpanContext | None = None


_commit: ContextVar[_Commit | None] = ContextVar("commit", default=None)
"""The latest commit of the task that writes. ``GroupCommit`` reports its results in a copy of the task's context."""


class CommitTracing:
    """Makes the spans of a queue: ``MessageQueue.trace`` puts these functions in front of its own.

    Args:
        tracer: makes the spans.
        database: the name of the database system.
    """

    def __init__(self, tracer: Tracer, database: str) -> None:
        self._tracer = tracer
        self._database = database

    def submit(
        self,
        submit: Callable[[Item, Done[Result]], Entry[Item, Result]],
        item: Item,
        done: Done[Result],
    ) -> Entry[Item, Result]:
        """Queue a message; its span ends with its commit."""
        if not get_current_span().is_recording():
            return submit(item, done)
        span = self._tracer.start_span("store message")
        try:
            return submit(item, partial(self._settle, span, done))
        except BaseException:
            span.set_status(StatusCode.ERROR)
            span.end()
            raise

    async def write_batch(
        self, write_batch: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], batch: Sequence[Item]
    ) -> Sequence[Result]:
        """Commit a batch, and note when."""
        commit = _Commit(len(batch), time.time_ns())
        _commit.set(commit)
        try:
            return await write_batch(batch)
        except BaseException:
            commit.has_failed = True
            raise
        finally:
            commit.ended_ns = time.time_ns()

    def _settle(self, span: Span, done: Done[Result], result: Result | Exception) -> None:
        try:
            # A message that has timed out is reported by another task, which has no commit.
            if (commit := _commit.get()) is not None:
                if commit.span is None:
                    commit.span = self._record(commit, span)
                else:
                    span.add_link(commit.span)
            if isinstance(result, Exception):
                span.set_status(StatusCode.ERROR)
            span.end()
        finally:
            done(result)

    def _record(self, commit: _Commit, first: Span) -> SpanContext:
        attributes: dict[str, str | int] = {"shopbell.messages": commit.messages, "db.system.name": self._database}
        span = self._tracer.start_span(
            "commit", set_span_in_context(first), attributes=attributes, start_time=commit.begun_ns
        )
        if commit.has_failed:
            span.set_status(StatusCode.ERROR)
        span.end(commit.ended_ns)
        return span.get_span_context()
