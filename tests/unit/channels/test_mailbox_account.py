"""Which server the mailbox's URL leads to."""

import asyncio

import pytest

from shopbell.channels.email.imap import ImapFailure
from shopbell.channels.email.mailbox_account import open_mailbox
from shopbell.safe_http.errors import AddressDenied
from shopbell.settings.settings import Settings

DOMAIN = {"mail_reply_domain": "shop.example.com"}


def open_at(host: str) -> None:
    """Log in to a mailbox at a host."""
    settings = Settings(imap_url=f"imaps://a:b@{host}", **DOMAIN)  # type: ignore[arg-type]
    assert settings.mailbox is not None
    asyncio.run(open_mailbox(settings, settings.mailbox, None))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_the_host_may_be_an_address(host: str) -> None:
    with pytest.raises(AddressDenied):
        open_at(host)


@pytest.mark.parametrize("host", ["bad!name", "imap..example.com", "1.2.3.4.5"])
def test_a_host_that_cannot_exist_has_a_reason(host: str) -> None:
    with pytest.raises(ImapFailure, match="wrong_host"):
        open_at(host)
