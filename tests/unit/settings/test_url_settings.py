"""Each setting with a URL accepts what its description says, and nothing else."""

import pytest

from shopbell.accounts.oidc_provider import open_provider
from shopbell.attachments.open_store import open_store
from shopbell.channels.email.access_tokens import token_endpoint
from shopbell.errors import SettingsError
from shopbell.realtime.nats import parse_nats_url
from shopbell.settings.settings import Settings, load

OTHERS = {"public_url": "https://chat.example.org", "oidc_client_id": "shopbell", "secret_key": "k" * 32}
ALLOWED = "127.0.0.1:9000"
HTTP = ("http://shop.example/path", "https://shop.example", "https://shop.example:8443/")
NOT_HTTP = ("canary", "ftp://canary.example", "https://", "http://[canary")
WITH_PASSWORD = ("https://canary@shop.example/", "https://shop:canary@shop.example/")
WITH_QUERY = ("https://shop.example/?canary=1",)
WITH_FRAGMENT = ("https://shop.example/#canary",)
NO_BASE = NOT_HTTP + WITH_PASSWORD + WITH_QUERY + WITH_FRAGMENT
NOT_ALLOWED = ("http://canary.example/", "http://127.0.0.1:9001/canary", "https://10.0.0.1/canary")

URLS = {
    "public_url": (HTTP, NO_BASE),
    "attachments_s3_endpoint": (HTTP, NO_BASE),
    "backup_s3_endpoint": (HTTP, NO_BASE),
    "twilio_api_url": (HTTP, NO_BASE),
    "sms_http_url": (HTTP + WITH_QUERY, NOT_HTTP + WITH_PASSWORD + WITH_FRAGMENT),
    "traces_url": (HTTP + WITH_QUERY, NOT_HTTP),
    "oidc_issuer": (("https://id.example/realms/acme", f"http://{ALLOWED}"), NO_BASE + NOT_ALLOWED),
    "imap_oauth_token_url": (
        ("google", "microsoft", "https://id.example/token", f"http://{ALLOWED}/token"),
        NO_BASE + NOT_ALLOWED,
    ),
    "nats_url": (
        ("nats://shop:secret@nats.example:4222", "tls://token@nats.example"),
        ("canary", "http://canary.example", "nats://", "nats://nats.example:canary"),
    ),
    "attachments_url": (
        ("file:///srv/files", "s3://bucket/prefix"),
        ("canary", "file://canary.example/files", "file:///", "s3://canary:canary@bucket", "https://canary.example/"),
    ),
    "backup_to": (("/var/backups", "s3://bucket/prefix"), ("canary", "https://canary.example/", "s3://")),
    "smtp_url": (
        ("smtp://shop:secret@mail.example:587", "smtps://shop:secret@mail.example:465"),
        ("canary", "https://canary.example", "smtps://", "smtp://mail.example/canary", "smtp://canary@mail.example"),
    ),
    "imap_url": (
        ("imaps://shop:secret@imap.example/INBOX", "imaps://shop@imap.example"),
        ("canary", "imap://shop:canary@imap.example", "imaps://imap.example", "https://canary.example"),
    ),
    "database_url": (
        ("sqlite:////srv/shop.db", "postgresql://shop:secret@db.example/shop"),
        ("canary", "sqlite://", "mysql://shop:canary@db.example/shop", "https://canary.example"),
    ),
    "database_direct_url": (
        ("postgresql://shop:secret@db.example/shop",),
        ("canary", "sqlite:////srv/canary.db", "mysql://shop:canary@db.example/shop"),
    ),
}
NEEDED = {
    "smtp_url": {"mail_from": "shop@shop.example"},
    "database_direct_url": {"database_url": "postgresql://shop@pooler.example/shop"},
    "imap_url": {
        "mail_reply_domain": "reply.example.org",
        "imap_oauth_token_url": "google",
        "imap_oauth_client_id": "shopbell",
        "imap_oauth_refresh_token": "secret",
    },
}
ACCEPTED = [(name, value) for name, (right, _) in URLS.items() for value in right]
REFUSED = [(name, value) for name, (_, wrong) in URLS.items() for value in wrong]


def _start(name: str, value: str) -> Settings:
    """Load the settings, and do with them what a server does before it starts."""
    settings = load(**OTHERS | {"outbound_allow": ALLOWED} | NEEDED.get(name, {}) | {name: value})
    open_provider(settings)
    open_store(settings)
    if settings.nats_url is not None:
        parse_nats_url(settings.nats_url.get_secret_value())
    if settings.imap_oauth_token_url is not None:
        token_endpoint(settings)
    return settings


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_url_that_the_description_allows_is_accepted(name: str, value: str) -> None:
    assert getattr(_start(name, value), name) is not None


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_another_url_is_refused_in_one_line_without_being_quoted(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        _start(name, value)
    line = str(refused.value)
    assert line.startswith(f"SHOPBELL_{name.upper()}: ")
    assert "\n" not in line
    assert "canary" not in line


def test_the_table_has_every_setting_with_a_url() -> None:
    named = {name for name in Settings.model_fields if name.endswith(("_url", "_endpoint"))}
    assert named <= URLS.keys()
