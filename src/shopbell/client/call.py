"""One call of the API as a value: what to send, and how to read what comes back. Nothing here touches a network."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from shopbell.client.errors import UnexpectedAnswer, problem_error
from shopbell.client.shape import read, read_all

T = TypeVar("T")
Id = str | int
"""Answers have strings, webhooks have numbers; both are taken."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object.

        Raises:
            UnexpectedAnswer: it is not.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UnexpectedAnswer(f"The answer ({self.status}) is not a JSON object: is this address Shopbell's?")
        return value

    @property
    def retry_after_s(self) -> float | None:
        """How long to wait, in seconds, if it says so."""
        said = self.headers.get("retry-after", "").strip()
        if said.isascii() and said.isdigit():
            return float(said)
        try:
            return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):  # no date, or one without a zone
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request, and what its answer means.

    Args:
        method: of HTTP.
        path: below the server's address, in ASCII.
        parse: reads an answer with status 200.
        query: parameters of the address.
        body: a JSON object to send.
        file: the name and the bytes of a file to send instead.
        idempotency_key: makes one effect of many repetitions.
        server_waits_s: how long the server may keep the answer back, in seconds, beside what it takes to answer.
    """

    method: str
    path: str
    parse: Callable[[Answer], T]
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    file: tuple[str, bytes] | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    server_waits_s: float = 0

    @property
    def is_repeatable(self) -> bool:
        """Whether doing it twice is the same as doing it once."""
        return self.method == "GET" or self.idempotency_key is not None

    def read(self, answer: Answer) -> T:
        """What the answer says.

        Raises:
            ProblemError: the server did not do it.
            UnexpectedAnswer: it is not an answer of Shopbell.
        """
        if answer.status == 200:
            return self.parse(answer)
        if answer.status < 400:
            # A redirection is not followed: the token would go wherever it leads.
            raise UnexpectedAnswer(
                f"The answer has status {answer.status}: is this address Shopbell's, with its scheme?"
            )
        try:
            said = answer.json()
        except UnexpectedAnswer:
            said = {}
        raise problem_error(answer.status, said, answer.headers.get("x-request-id"), answer.retry_after_s)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of many, and where the next begin: None after the last."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A list that the server gives page by page: ``call`` asks for the page at a cursor; None is the first."""

    call: Callable[[str | None], Call[Page[T]]]


def get(path: str, kind: type[T], /, **query: object) -> Call[T]:
    """A question; parameters that are None are left out."""
    return Call(method="GET", path=path, parse=reader(kind), query=_query(query))


def get_all(path: str, name: str, kind: type[T], /, **query: object) -> Call[tuple[T, ...]]:
    """A question whose answer is a list under ``name``, given as a whole."""

    def parse(answer: Answer) -> tuple[T, ...]:
        return read_all(kind, answer.json().get(name), f"#/{name}")

    return Call(method="GET", path=path, parse=parse, query=_query(query))


def post(path: str, kind: type[T], /, **body: object) -> Call[T]:
    """A change; fields that are None are left out."""
    return Call(method="POST", path=path, parse=reader(kind), body=present(body))


def pages(path: str, name: str, kind: type[T], /, **query: object) -> Pages[T]:
    """A list under ``name``, with ``nextCursor`` beside it."""

    def parse(answer: Answer) -> Page[T]:
        said = answer.json()
        next_cursor = said.get("nextCursor")
        return Page(
            read_all(kind, said.get(name), f"#/{name}"),
            None if next_cursor is None else read(str, next_cursor, "#/nextCursor"),
        )

    return Pages(lambda cursor: Call(method="GET", path=path, parse=parse, query=_query({**query, "cursor": cursor})))


@dataclass(frozen=True, slots=True)
class Done:
    """The server did it, and has no more to say."""

    result: str


def new_key() -> str:
    """An idempotency key that was never used."""
    return str(uuid.uuid4())


def part(value: Id) -> str:
    """An id as a part of a path."""
    return quote(str(value), safe="")


def present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def reader(kind: type[T]) -> Callable[[Answer], T]:
    """Reads an answer as a thing of one kind."""
    return lambda answer: read(kind, answer.json())


def _query(parameters: Mapping[str, object]) -> dict[str, str]:
    return {
        name: json.dumps(value) if isinstance(value, bool) else str(value)
        for name, value in present(parameters).items()
    }
