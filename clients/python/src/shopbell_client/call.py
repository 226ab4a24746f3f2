"""Describe an API request and how to parse its response, without any I/O."""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from shopbell_client.errors import UnexpectedResponse, problem_error
from shopbell_client.shape import read, read_list

T = TypeVar("T")
Query = Mapping[str, str | list[str]]
Id = str | int
"""API responses contain ids as strings, webhook payloads as numbers.

Methods accept both.
"""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Parse the body as a JSON object.

        Raises:
            UnexpectedResponse: the body is anything else.
        """
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise UnexpectedResponse(f"The response ({self.status}) is not a JSON object. Check base_url.")
        return value

    @property
    def retry_after_s(self) -> float | None:
        """The ``Retry-After`` header in seconds; None if it is missing or invalid."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):  # not a date, or a date without a time zone
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """A request and the parser of its response.

    Args:
        path: relative to the server's address, in ASCII.
        parse: converts a response with status 200.
        body: a JSON object to send.
        file: the name and the bytes of a file to send instead of ``body``.
        idempotency_key: lets the server execute repeated requests only once.
        server_wait_s: how long the server may hold the request open (long polling), in seconds. It is added to the
            timeouts.
    """

    method: str
    path: str
    parse: Callable[[Response], T]
    query: Query = field(default_factory=dict, repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    file: tuple[str, bytes] | None = field(default=None, repr=False)
    idempotency_key: str | None = None
    server_wait_s: float = 0

    @property
    def is_repeatable(self) -> bool:
        """Whether the request can safely be sent more than once."""
        return self.method == "GET" or self.idempotency_key is not None

    def read(self, response: Response) -> T:
        """Parse the response.

        Raises:
            ProblemError: the server reported an error.
            UnexpectedResponse: the response is not from Shopbell.
        """
        if response.status == 200:
            return self.parse(response)
        if response.status < 400:
            # Redirects are not followed, since they would send the token to another address.
            raise UnexpectedResponse(f"The response has status {response.status}. Check base_url and its scheme.")
        try:
            problem = response.json()
        except UnexpectedResponse:
            problem = {}
        request_id = response.headers.get("x-request-id")
        raise problem_error(response.status, problem, request_id, response.retry_after_s)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. ``next_cursor`` is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A paginated list.

    ``call`` requests the page at a cursor; None is the first page.
    """

    call: Callable[[str | None], Call[Page[T]]]


def get(path: str, response_type: type[T], /, **query: object) -> Call[T]:
    """Describe a GET request. Query parameters that are None are omitted."""
    return Call(method="GET", path=path, parse=reader(response_type), query=query_string(query))


def get_list(path: str, name: str, item_type: type[T], /, **query: object) -> Call[tuple[T, ...]]:
    """Describe a GET request for a list that is not paginated.

    ``name`` is the list's member in the response.
    """

    def parse(response: Response) -> tuple[T, ...]:
        return read_list(item_type, response.json().get(name), f"#/{name}")

    return Call(method="GET", path=path, parse=parse, query=query_string(query))


def post(path: str, response_type: type[T], /, **body: object) -> Call[T]:
    """Describe a POST request. Fields that are None are omitted."""
    return Call(method="POST", path=path, parse=reader(response_type), body=without_none(body))


def pages(path: str, name: str, item_type: type[T], /, **query: object) -> Pages[T]:
    """Describe GET requests for a paginated list.

    ``name`` is the list's member in the response.
    """

    def parse(response: Response) -> Page[T]:
        body = response.json()
        next_cursor = body.get("nextCursor")
        return Page(
            read_list(item_type, body.get(name), f"#/{name}"),
            None if next_cursor is None else read(str, next_cursor, "#/nextCursor"),
        )

    def call(cursor: str | None) -> Call[Page[T]]:
        return Call(method="GET", path=path, parse=parse, query=query_string({**query, "cursor": cursor}))

    return Pages(call)


@dataclass(frozen=True, slots=True)
class Done:
    """The response to a request that succeeded and returns no data."""

    result: str


def new_key() -> str:
    """Create an idempotency key."""
    return str(uuid.uuid4())


def path_segment(value: Id) -> str:
    """Escape an id for use in a path."""
    return quote(str(value), safe="")


def without_none(fields: Mapping[str, object]) -> dict[str, object]:
    """Omit the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def reader(response_type: type[T]) -> Callable[[Response], T]:
    """Create a parser for responses of one type."""
    return lambda response: read(response_type, response.json())


def query_string(parameters: Mapping[str, object]) -> Query:
    """Convert query parameters to strings, and omit those that are None. A list repeats its parameter."""
    return {
        name: [_text(each) for each in value] if isinstance(value, list) else _text(value)
        for name, value in without_none(parameters).items()
    }


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
