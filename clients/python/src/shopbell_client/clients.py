"""The synchronous and the asynchronous client.

The other modules describe each endpoint once, as a function that returns a :class:`Call`. The clients send it.
"""

import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, get_args, overload

import httpx2
import stamina

from shopbell_client import actions as action_calls
from shopbell_client import attachments as attachment_calls
from shopbell_client import businesses as business_calls
from shopbell_client import customers as customer_calls
from shopbell_client import deliveries as delivery_calls
from shopbell_client import drafts as draft_calls
from shopbell_client import feed as feed_calls
from shopbell_client import inbox as inbox_calls
from shopbell_client import merges as merge_calls
from shopbell_client import messages as message_calls
from shopbell_client import saved_replies as saved_reply_calls
from shopbell_client import scheduled_messages as scheduled_message_calls
from shopbell_client import tags as tag_calls
from shopbell_client import templates as template_calls
from shopbell_client import threads as thread_calls
from shopbell_client import webhooks as webhook_calls
from shopbell_client.call import Call, Pages, Response
from shopbell_client.errors import UnexpectedResponse, Unreachable
from shopbell_client.retries import Retries

P = ParamSpec("P")
T = TypeVar("T")


class Endpoint(Generic[P, T]):
    """A client method that sends one request.

    ``describe`` takes the method's arguments and returns the :class:`Call` to send. :class:`Shopbell` returns the
    parsed response, :class:`AsyncShopbell` an awaitable of it.
    """

    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self.__doc__ = describe.__doc__
        self._describe = describe
        (self._result,) = get_args(inspect.signature(describe).return_annotation)

    @overload
    def __get__(self, client: "Shopbell", owner: object = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncShopbell", owner: object = None) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, client: Any, owner: object = None) -> Any:
        return self if client is None else _method(self._describe, client.perform, self._result)


class PagedEndpoint(Generic[P, T]):
    """A client method that iterates over a list, and requests pages as needed.

    ``describe`` takes the method's arguments and returns the :class:`Pages` to request. :class:`Shopbell` returns an
    iterator, :class:`AsyncShopbell` an asynchronous iterator.
    """

    def __init__(self, describe: Callable[P, Pages[T]]) -> None:
        self.__doc__ = describe.__doc__
        self._describe = describe
        (self._item,) = get_args(inspect.signature(describe).return_annotation)

    @overload
    def __get__(self, client: "Shopbell", owner: object = None) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: "AsyncShopbell", owner: object = None) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Any, owner: object = None) -> Any:
        return self if client is None else _method(self._describe, client.iterate, _iterator_of(self._item))


def _iterator_of(item: Any) -> Any:
    return Iterator[item]


def _method(describe: Callable[P, Any], send: Callable[[Any], Any], result: Any) -> Any:
    """Bind an endpoint to a client. ``help`` shows ``result`` as its return type."""

    @functools.wraps(describe)
    def method(*args: P.args, **kwargs: P.kwargs) -> Any:
        return send(describe(*args, **kwargs))

    signature = inspect.signature(describe).replace(return_annotation=result)
    method.__signature__ = signature  # type: ignore[attr-defined] # read by inspect.signature
    return method


class Endpoints:
    """The methods of both clients, and what the clients share."""

    send_message_to_business = Endpoint(message_calls.send_message_to_business)
    send_message = Endpoint(message_calls.send_message)
    messages = PagedEndpoint(message_calls.messages)
    upload_attachment = Endpoint(attachment_calls.upload_attachment)
    attachment = Endpoint(attachment_calls.attachment)

    threads = PagedEndpoint(thread_calls.threads)
    thread_details = Endpoint(thread_calls.thread_details)
    update_thread_status = Endpoint(thread_calls.update_thread_status)
    transfer_thread = Endpoint(thread_calls.transfer_thread)
    assign_thread = Endpoint(thread_calls.assign_thread)
    whatsapp_templates = Endpoint(thread_calls.whatsapp_templates)

    inbox_threads = PagedEndpoint(inbox_calls.inbox_threads)
    inbox_counts = Endpoint(inbox_calls.inbox_counts)
    open_inbox_thread = Endpoint(inbox_calls.open_inbox_thread)
    start_conversation = Endpoint(inbox_calls.start_conversation)
    snooze_thread = Endpoint(inbox_calls.snooze_thread)
    unsnooze_thread = Endpoint(inbox_calls.unsnooze_thread)
    change_threads = Endpoint(action_calls.change_threads)
    undo_action = Endpoint(action_calls.undo_action)

    save_draft = Endpoint(draft_calls.save_draft)
    drafts = PagedEndpoint(draft_calls.drafts)
    take_over_draft = Endpoint(draft_calls.take_over_draft)
    delete_draft = Endpoint(draft_calls.delete_draft)

    schedule_message = Endpoint(scheduled_message_calls.schedule_message)
    scheduled_messages = PagedEndpoint(scheduled_message_calls.scheduled_messages)
    update_scheduled_message = Endpoint(scheduled_message_calls.update_scheduled_message)
    cancel_scheduled_message = Endpoint(scheduled_message_calls.cancel_scheduled_message)

    tags = PagedEndpoint(tag_calls.tags)
    create_tag = Endpoint(tag_calls.create_tag)
    update_tag = Endpoint(tag_calls.update_tag)
    delete_tag = Endpoint(tag_calls.delete_tag)
    set_thread_tags = Endpoint(tag_calls.set_thread_tags)

    saved_replies = PagedEndpoint(saved_reply_calls.saved_replies)
    create_saved_reply = Endpoint(saved_reply_calls.create_saved_reply)
    update_saved_reply = Endpoint(saved_reply_calls.update_saved_reply)
    delete_saved_reply = Endpoint(saved_reply_calls.delete_saved_reply)

    customers = PagedEndpoint(customer_calls.customers)
    customer_profile = Endpoint(customer_calls.customer_profile)
    update_customer_profile = Endpoint(customer_calls.update_customer_profile)
    block_customer = Endpoint(customer_calls.block_customer)
    unblock_customer = Endpoint(customer_calls.unblock_customer)
    erase_customer = Endpoint(customer_calls.erase_customer)
    export_customer = Endpoint(customer_calls.export_customer)

    merge_customers = Endpoint(merge_calls.merge_customers)
    merges = PagedEndpoint(merge_calls.merges)
    undo_merge = Endpoint(merge_calls.undo_merge)
    possible_duplicates = PagedEndpoint(merge_calls.possible_duplicates)
    dismiss_duplicate = Endpoint(merge_calls.dismiss_duplicate)

    businesses = PagedEndpoint(business_calls.businesses)
    business = Endpoint(business_calls.business)
    create_business = Endpoint(business_calls.create_business)
    update_business = Endpoint(business_calls.update_business)
    deactivate_business = Endpoint(business_calls.deactivate_business)
    employees = PagedEndpoint(business_calls.employees)
    create_employee = Endpoint(business_calls.create_employee)
    update_employee = Endpoint(business_calls.update_employee)
    deactivate_employee = Endpoint(business_calls.deactivate_employee)

    templates = PagedEndpoint(template_calls.templates)
    create_template = Endpoint(template_calls.create_template)
    delete_template = Endpoint(template_calls.delete_template)

    webhooks = Endpoint(webhook_calls.webhooks)
    webhook = Endpoint(webhook_calls.webhook)
    create_webhook = Endpoint(webhook_calls.create_webhook)
    update_webhook = Endpoint(webhook_calls.update_webhook)
    delete_webhook = Endpoint(webhook_calls.delete_webhook)
    rotate_webhook_secret = Endpoint(webhook_calls.rotate_webhook_secret)

    test_webhook = Endpoint(delivery_calls.test_webhook)
    deliveries = PagedEndpoint(delivery_calls.deliveries)
    delivery = Endpoint(delivery_calls.delivery)
    replay_delivery = Endpoint(delivery_calls.replay_delivery)
    replay_deliveries = Endpoint(delivery_calls.replay_deliveries)

    events = PagedEndpoint(feed_calls.events)

    def __init__(self, base_url: str, token: str, *, timeout_s: float, attempts: int, total_timeout_s: float) -> None:
        self._base_url = _checked_url(base_url)
        self._token = _checked_token(token)
        if attempts < 1 or timeout_s <= 0 or total_timeout_s <= 0:
            raise ValueError("attempts must be at least 1, and timeouts greater than 0")
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._total_timeout_s = total_timeout_s

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._base_url}>"

    def _retries(self, call: Call[Any]) -> Retries:
        return Retries(call, self._attempts, self._total_timeout_s + call.server_wait_s)

    def _request(self, call: Call[Any], retries: Retries) -> dict[str, Any]:
        headers = {"token": self._token, "Accept": "application/json"}
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            # Escaped to ASCII, so that lone surrogates reach the server and get its error, instead of failing here.
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
            "timeout": retries.timeout_s(self._timeout_s + call.server_wait_s),
            "follow_redirects": False,
        }


class Shopbell(Endpoints):
    """A synchronous client.

    It is thread-safe. Close it, or use it in a ``with`` statement.

    Args:
        base_url: the server's address, such as ``https://chat.example.com``. It may have a path; ``/api`` is appended.
        token: an API token. It is sent only to ``base_url``, and never appears in errors, logs or ``repr``.
        timeout_s: the time limit for each step of an attempt (connecting, sending, reading), in seconds.
        attempts: the maximum number of attempts for requests that can be repeated, 1 or more.
        total_timeout_s: no attempt begins later than this, in seconds.
        http: an HTTP client to use, for example with a proxy or a private certificate. ``close`` does not close it.

    Raises:
        ValueError: an argument is invalid.
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
        # Proxies of the environment are not used, since they would see the token.
        self._http = http or httpx2.Client(trust_env=False)
        self._owns_http = http is None

    def close(self) -> None:
        """Close the connections."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def perform(self, call: Call[T]) -> T:
        """Send a call, and retry it if that is safe.

        Raises:
            ShopbellError: the call failed, or its result is unknown.
        """
        retries = self._retries(call)
        for attempt in stamina.retry_context(on=retries.wait_s, attempts=retries.attempts, timeout=None):
            with attempt:
                try:
                    response = self._http.request(**self._request(call, retries))
                except httpx2.RequestError as error:
                    raise _unreachable(error) from error
                return call.read(_response(response))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def iterate(self, pages: Pages[T]) -> Iterator[T]:
        """Iterate over the items of all pages. Each page is requested when it is needed."""
        page = self.perform(pages.call(None))
        yield from page.items
        while page.next_cursor is not None:
            page = self.perform(pages.call(page.next_cursor))
            yield from page.items


class AsyncShopbell(Endpoints):
    """An asynchronous client, for asyncio and trio.

    Close it, or use it in an ``async with`` statement.

    It has the arguments and methods of :class:`Shopbell`. Await the methods; iterate over lists with ``async for``.
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
        """Close the connections."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def perform(self, call: Call[T]) -> T:
        """Send a call, and retry it if that is safe.

        Raises:
            ShopbellError: the call failed, or its result is unknown.
        """
        retries = self._retries(call)
        async for attempt in stamina.retry_context(on=retries.wait_s, attempts=retries.attempts, timeout=None):
            with attempt:
                try:
                    response = await self._http.request(**self._request(call, retries))
                except httpx2.RequestError as error:
                    raise _unreachable(error) from error
                return call.read(_response(response))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def iterate(self, pages: Pages[T]) -> AsyncIterator[T]:
        """Iterate over the items of all pages. Each page is requested when it is needed."""
        page = await self.perform(pages.call(None))
        for item in page.items:
            yield item
        while page.next_cursor is not None:
            page = await self.perform(pages.call(page.next_cursor))
            for item in page.items:
                yield item


def _response(response: httpx2.Response) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status_code, headers, response.content)


def _unreachable(error: httpx2.RequestError) -> Unreachable | UnexpectedResponse:
    if isinstance(error, httpx2.DecodingError):
        return UnexpectedResponse("The response cannot be decompressed.")
    # Only the name of the error: its message may contain a proxy's address and password.
    return Unreachable(f"No response from the server ({type(error).__name__}).")


def _checked_url(base_url: str) -> str:
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ValueError("base_url is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("base_url must have the form https://chat.example.com")
    return base_url.rstrip("/")


def _checked_token(token: str) -> str:
    if not token or not all("!" <= character <= "~" for character in token):
        raise ValueError("token must be an API token: one or more visible ASCII characters")
    return token
