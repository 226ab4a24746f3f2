"""What ``shopbell doctor`` finds about inbound email."""

from pathlib import Path
from typing import Any

import pytest

from harness.certificates import Authority
from shopbell.operations.doctor.findings import Level
from shopbell.operations.doctor.inbound_email import check_listener
from shopbell.settings.settings import Settings

REPLIES = {"mail_reply_domain": "shop.example.com"}
LISTENING = REPLIES | {"mail_listen": "smtp://127.0.0.1:8025"}


def levels(**settings: Any) -> list[tuple[Level, str]]:
    """The findings with these settings."""
    return [(each.level, each.name) for each in check_listener(Settings(**settings))]


@pytest.mark.parametrize("settings", [{}, LISTENING, REPLIES | {"imap_url": "imaps://a:b@imap.example.com"}])
def test_replies_can_arrive(settings: dict[str, Any]) -> None:
    assert levels(**settings) == []


def test_a_domain_for_replies_that_do_not_arrive_is_an_error() -> None:
    assert levels(**REPLIES) == [(Level.ERROR, "replies")]


def test_the_certificate_is_loaded(tmp_path: Path) -> None:
    Authority().server("localhost", tmp_path)
    certificate = tmp_path / "localhost.pem"
    assert levels(**LISTENING, mail_tls_certificate=certificate) == [(Level.OK, "mail certificate")]
    certificate.write_text("half a file")
    assert levels(**LISTENING, mail_tls_certificate=certificate) == [(Level.ERROR, "mail certificate")]
