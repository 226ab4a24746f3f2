"""The two clients. Each route is described once, in the modules of its noun; a client only carries it out."""

import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, get_args, overload

import httpx2
import stamina

from shopbell.client import attachments as of_attachments
from shopbell.client import businesses as of_businesses
from shopbell.client import customers as of_customers
from shopbell.client import deliveries as of_deliveries
from shopbell.client import feed as of_feed
from shopbell.client import merges as of_merges
from shopbell.client import messages as of_messages
from shopbell.client import templates as of_templates
from shopbell.client import threads as of_threads
from shopbell.client import webhooks as of_webhooks
from shopbell.client.call import Answer, Call, Pages
from shopbell.client.errors import UnexpectedAnswer, Unreachable
from shopbell.client.retries import Retries

P = ParamSpec("P")
T = TypeVar("T")


class _Described(Generic[P]):
    """A method of both clients, made from the description of what it sends."""

    def __init__(self, describe: Callable[P, Any]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__
        signature = inspect.signature(describe)
        # What `help` shows: not the description, but what comes of it.
        self._signature = signature.replace(return_annotation=self._gives(*get_args(signature.return_annotation)))

    def _gives(self, described: Any) -> Any:
        return described

    def _method(self, carry_out: Callable[[Any], Any]) -> Any:
        @functools.wraps(self._describe)
        def method(*args: P.args, **named: P.kwargs) -> Any:
            return carry_out(self._describe(*args, **named))

        method.__signature__ = self._signature  # type: ignore[attr-defined] # inspect reads it
        return method


class Route(_Described[P], Generic[P, T]):
    """Gives what the answer says, awaited or not."""

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, client: "Shopbell", owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncShopbell", owner: object = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: object = None) -> Any:
        return self if client is None else self._method(client.perform)


class Listing(_Described[P], Generic[P, T]):
    """Gives one thing after the other, and asks for the next page when it is needed."""

    def __init__(self, describe: Callable[P, Pages[T]]) -> None:
        super().__init__(describe)

    def _gives(self, described: Any) -> Any:
        return Iterator[described]

    @overload
    def __get__(self, client: "Shopbell", owner: object = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: "AsyncShopbell", owner: object = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Any, owner: object = None) -> Any:
        return self if client is None else self._method(client.follow)


class Routes:
    """Every route of the API."""

    send_message_to_business = Route(of_messages.send_message_to_business)
    send_message = Route(of_messages.send_message)
    messages = Listing(of_messages.messages)
    upload_attachment = Route(of_attachments.upload_attachment)
    attachment = Route(of_attachments.attachment)

    threads = Listing(of_threads.threads)
    thread_details = Route(of_threads.thread_details)
    update_thread_status = Route(of_threads.update_thread_status)
    transfer_thread = Route(of_threads.transfer_thread)
    assign_thread = Route(of_threads.assign_thread)
    whatsapp_templates = Route(of_threads.whatsapp_templates)

    customers = Listing(of_customers.customers)
    customer_profile = Route(of_customers.customer_profile)
    update_customer_profile = Route(of_customers.update_customer_profile)
    block_customer = Route(of_customers.block_customer)
    unblock_customer = Route(of_customers.unblock_customer)
    erase_customer = Route(of_customers.erase_customer)
    export_customer = Route(of_customers.export_customer)

    merge_customers = Route(of_merges.merge_customers)
    merges = Listing(of_merges.merges)
    undo_merge = Route(of_merges.undo_merge)
    possible_duplicates = Listing(of_merges.possible_duplicates)
    dismiss_duplicate = Route(of_merges.dismiss_duplicate)

    businesses = Listing(of_businesses.businesses)
    business = Route(of_businesses.business)
    create_business = Route(of_businesses.create_business)
    update_business = Route(of_businesses.update_business)
    deactivate_business = Route(of_businesses.deactivate_business)
    employees = Listing(of_businesses.employees)
    create_employee = Route(of_businesses.create_employee)
    update_employee = Route(of_businesses.update_employee)
    deactivate_employee = Route(of_businesses.deactivate_employee)

    templates = Listing(of_templates.templates)
    create_template = Route(of_templates.create_template)
    delete_template = Route(of_templates.delete_template)

    webhooks = Route(of_webhooks.webhooks)
    webhook = Route(of_webhooks.webhook)
    create_webhook = Route(of_webhooks.create_webhook)
    update_webhook = Route(of_webhooks.update_webhook)
    delete_webhook = Route(of_webhooks.delete_webhook)
    rotate_webhook_secret = Route(of_webhooks.rotate_webhook_secret)

    test_webhook = Route(of_deliveries.test_webhook)
    deliveries = Listing(of_deliveries.deliveries)
    delivery = Route(of_deliveries.delivery)
    replay_delivery = Route(of_deliveries.replay_delivery)
    replay_deliveries = Route(of_deliveries.replay_deliveries)

    events = Listing(of_feed.events)

    def __init__(self, base_url: str, token: str, *, timeout_s: float, attempts: int, total_timeout_s: float) -> None:
        self._base_url = _checked_address(base_url)
        self._token = _checked_token(token)
        if attempts < 1 or timeout_s <= 0 or total_timeout_s <= 0:
            raise ValueError("attempts must be 1 or more, timeouts more than 0")
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._total_timeout_s = total_timeout_s

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._base_url}>"

    def _retries(self, call: Call[Any]) -> Retries:
        return Retries(call, self._attempts, self._total_timeout_s + call.server_waits_s)

    def _request(self, call: Call[Any], retries: Retries) -> dict[str, Any]:
        headers = {"token": self._token, "Accept": "application/json"}
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            # In ASCII: what is no Unicode, as half of a pair, gets the server's answer and not an exception here.
            content = json.dumps(call.body).encode()
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        return {
            "method": call.method,
            "url": self._base_url + call.path,
            "params": call.query or None,
            "content": content,
            "files": None if call.file is None else {"file": call.file},
            "headers": headers,
            "timeout": retries.left_s(self._timeout_s + call.server_waits_s),
            "follow_redirects": False,
        }


class Shopbell(Routes):
    """Talks to a Shopbell server; safe to share between threads. Close it, or use it in a ``with`` statement.

    Args:
        base_url: the server's address, such as ``https://chat.example.com``; a path before ``/api`` is kept.
        token: API token; it is sent to that address only and shows up in no error, log or ``repr``.
        timeout_s: how long to wait for a connection, and then for each sign of an answer, in seconds.
        attempts: how often to try what may be repeated (questions, and what has an idempotency key), from 1.
        total_timeout_s: after how many seconds no further attempt begins, and none may wait.
        http: carries the requests instead of one of its own, for a proxy or a private certificate; left open.

    Raises:
        ValueError: the address or the token can't be one.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_s: float = 10,
        attempts: int = 4,
        total_timeout_s: float = 30,
        http: httpx2.Client | None = None,
    ) -> None:
        super().__init__(base_url, token, timeout_s=timeout_s, attempts=attempts, total_timeout_s=total_timeout_s)
        # Not trusting the environment: a proxy named there would see the token.
        self._http = http or httpx2.Client(trust_env=False)
        self._owns_http = http is None

    def close(self) -> None:
        """Close its connections."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def perform(self, call: Call[T]) -> T:
        """Carry a call out, more than once where that is safe and helps.

        Raises:
            ShopbellError: it is not done, or not known to be.
        """
        retries = self._retries(call)
        for attempt in stamina.retry_context(on=retries.wait_s, attempts=retries.attempts, timeout=None):
            with attempt:
                try:
                    response = self._http.request(**self._request(call, retries))
                except httpx2.RequestError as error:
                    raise _unreachable(error) from error
                return call.read(_answer(response))
        raise AssertionError("the last attempt returns or raises")

    def follow(self, pages: Pages[T]) -> Iterator[T]:
        """The items of all pages; each page is asked for when the one before it is used up."""
        page = self.perform(pages.call(None))
        yield from page.items
        while page.next_cursor is not None:
            page = self.perform(pages.call(page.next_cursor))
            yield from page.items


class AsyncShopbell(Routes):
    """Talks to a Shopbell server from asyncio or trio. Close it, or use it in an ``async with`` statement.

    Its arguments are those of :class:`Shopbell`; its methods have the same names, and are awaited or iterated with
    ``async for``.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_s: float = 10,
        attempts: int = 4,
        total_timeout_s: float = 30,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        super().__init__(base_url, token, timeout_s=timeout_s, attempts=attempts, total_timeout_s=total_timeout_s)
        self._http = http or httpx2.AsyncClient(trust_env=False)
        self._owns_http = http is None

    async def close(self) -> None:
        """Close its connections."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def perform(self, call: Call[T]) -> T:
        """Carry a call out, more than once where that is safe and helps.

        Raises:
            ShopbellError: it is not done, or not known to be.
        """
        retries = self._retries(call)
        async for attempt in stamina.retry_context(on=retries.wait_s, attempts=retries.attempts, timeout=None):
            with attempt:
                try:
                    response = await self._http.request(**self._request(call, retries))
                except httpx2.RequestError as error:
                    raise _unreachable(error) from error
                return call.read(_answer(response))
        raise AssertionError("the last attempt returns or raises")

    async def follow(self, pages: Pages[T]) -> AsyncIterator[T]:
        """The items of all pages; each page is asked for when the one before it is used up."""
        page = await self.perform(pages.call(None))
        for item in page.items:
            yield item
        while page.next_cursor is not None:
            page = await self.perform(pages.call(page.next_cursor))
            for item in page.items:
                yield item


def _answer(response: httpx2.Response) -> Answer:
    return Answer(
        response.status_code, {name.lower(): value for name, value in response.headers.items()}, response.content
    )


def _unreachable(error: httpx2.RequestError) -> Unreachable | UnexpectedAnswer:
    if isinstance(error, httpx2.DecodingError):
        return UnexpectedAnswer("The answer cannot be decompressed.")
    # The kind is enough: its text may hold what the environment or a proxy's address holds.
    return Unreachable(f"No answer from the server ({type(error).__name__}).")


def _checked_address(base_url: str) -> str:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError("base_url is not an address") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must be like https://chat.example.com")
    return base_url.rstrip("/")


def _checked_token(token: str) -> str:
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError("token must be an API token: visible ASCII characters, and not none")
    return token
