"""Spans of messages and their commits."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shopbell.conversations.commit_tracing import CommitTracing
from shopbell.db.group_commit import GroupCommit
from shopbell.errors import StorageError


class Numbers(GroupCommit[int, int]):
    """Stores numbers; negative ones make a batch fail."""

    def __init__(self, tracing: CommitTracing, *, timeout_s: float = 60) -> None:
        super().__init__(queue_limit=3, batch_limit=10, timeout_s=timeout_s)
        self.gate = asyncio.Event()
        self.submit = partial(tracing.submit, self.submit)  # type: ignore[method-assign]
        self._write_batch = partial(tracing.write_batch, self._write_batch)  # type: ignore[method-assign]

    async def _write_batch(self, batch: Sequence[int]) -> Sequence[int]:
        await self.gate.wait()
        if min(batch) < 0:
            raise StorageError("the database failed")
        return batch


def traced(numbers: list[int], *, requests: bool = True, timeout_s: float = 60) -> list[ReadableSpan]:
    """Store numbers in one batch, each in the span of its request; returns all spans."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    results: list[object] = []

    async def run() -> None:
        queue = Numbers(CommitTracing(tracer, "sqlite"), timeout_s=timeout_s)
        queue.start()
        try:
            for number in numbers:
                _store(queue, number, results.append)
            if timeout_s > 1:
                queue.gate.set()
            async with asyncio.timeout(60):
                while len(results) < len(numbers):  # noqa: ASYNC110 - what is waited for is inside what is tested
                    await asyncio.sleep(0.01)
        finally:
            queue.gate.set()
            await queue.close()

    def _store(queue: Numbers, number: int, done: Callable[[object], None]) -> None:
        if requests:
            with tracer.start_as_current_span(f"request {number}"):
                queue.submit(number, done)
        else:
            queue.submit(number, done)

    asyncio.run(run())
    return [span for span in exporter.get_finished_spans() if not span.name.startswith("request")]


def test_a_commit_is_in_the_trace_of_its_first_message_and_the_others_link_to_it() -> None:
    spans = traced([1, 2, 3])
    (commit,) = [span for span in spans if span.name == "commit"]
    first, *others = [span for span in spans if span.name == "store message"]
    assert len(others) == 2
    assert commit.parent == first.context
    assert commit.attributes == {"shopbell.messages": 3, "db.system.name": "sqlite"}
    assert first.links == ()
    for other in others:
        assert [link.context for link in other.links] == [commit.context]
        assert other.context.trace_id != commit.context.trace_id
    times = [first.start_time, commit.start_time, commit.end_time, first.end_time]
    assert times == sorted(times, key=int)


def test_a_commit_that_fails_is_an_error_of_its_messages() -> None:
    spans = traced([1, -1])
    assert sorted(span.name for span in spans) == ["commit", "store message", "store message"]
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert "the database failed" not in "".join(span.to_json() for span in spans)


def test_a_message_that_times_out_has_no_commit() -> None:
    (span,) = traced([1], timeout_s=0.1)
    assert (span.name, span.status.status_code, span.links) == ("store message", StatusCode.ERROR, ())


def test_messages_of_requests_without_a_span_have_none() -> None:
    assert traced([1, 2], requests=False) == []


def test_a_message_that_the_queue_refuses_is_an_error() -> None:
    with pytest.raises(StorageError, match="full"):
        traced([1, 2, 3, 4])
