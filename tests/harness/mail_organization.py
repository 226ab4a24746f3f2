"""An organization with a real SMTP server, and texts in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.installation import Installation
from harness.sent_messages import Post
from harness.shop import Shop
from harness.smtp import SmtpServer
from harness.world import World


@pytest.fixture
def open_post(installation: Installation, people: World) -> Any:
    """Opens a post office with settings of its own."""

    @contextmanager
    def open_(mails: SmtpServer | None = None, **settings: object) -> Iterator[Post]:
        folder = installation.folder / "outbox"
        with mails or SmtpServer() as server:
            ours = {
                "smtp_url": server.url,
                "smtp_starttls": "never",
                "mail_from": "shop@acme.example",
                "mail_reply_domain": "reply.acme.example",
                "mail_batch_s": 0.2,
                "mail_outbox": folder,
                "attachments_url": f"file://{installation.folder / 'files'}",
                "sms_provider": "folder",
                "sms_cooldown_s": 0,
                "poll_interval_s": 0.2,
            }
            with installation.serving(**(ours | settings)) as running:
                yield Post(Shop(running, people), server, folder)

    return open_


@pytest.fixture
def post(open_post: Any) -> Iterator[Post]:
    """An open post office."""
    with open_post() as post:
        yield post
