"""The server checks the settings that only its worker process uses."""

import pytest

from shopbell.errors import SettingsError
from shopbell.settings.settings import load
from shopbell.workers.worker_process import WorkerProcess


def test_a_server_does_not_start_with_a_token_endpoint_that_its_worker_refuses() -> None:
    settings = load(
        mail_reply_domain="reply.example.org",
        imap_url="imaps://shop@imap.example",
        imap_oauth_token_url="http://id.example/token",
        imap_oauth_client_id="shopbell",
        imap_oauth_refresh_token="secret",
    )
    with pytest.raises(SettingsError, match="SHOPBELL_IMAP_OAUTH_TOKEN_URL: must be an https URL"):
        WorkerProcess(settings)
