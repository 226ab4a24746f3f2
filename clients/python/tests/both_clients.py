"""Send a message with the synchronous and with the asynchronous client."""

import asyncio
from collections.abc import Callable
from typing import Any

from shopbell_client import AsyncShopbell, Shopbell
from shopbell_client.messages import SentMessage

Send = Callable[..., SentMessage]


def send_synchronously(
    url: str, token: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any
) -> SentMessage:
    """Send a customer's message. ``options`` are those of the client."""
    with Shopbell(url, token, **(options or {})) as shop:
        return shop.send_message_to_business(*arguments, **named)


def send_asynchronously(
    url: str, token: str, *arguments: Any, options: dict[str, Any] | None = None, **named: Any
) -> SentMessage:
    """Send a customer's message. ``options`` are those of the client."""

    async def run() -> SentMessage:
        async with AsyncShopbell(url, token, **(options or {})) as shop:
            return await shop.send_message_to_business(*arguments, **named)

    return asyncio.run(run())


BOTH_CLIENTS = [send_synchronously, send_asynchronously]
