"""What each SMS provider needs is reported at startup without secrets."""

import os
from pathlib import Path

import pytest

from shopbell.errors import SettingsError
from shopbell.settings.settings import load

SID = "AC" + "0123456789abcdef" * 2
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLIC = "https://chat.example.org"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting and no file but the test's own."""
    for name in [name for name in os.environ if name.startswith("SHOPBELL_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def _refusal(**given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**given)
    return str(caught.value)


def test_by_default_no_sms_is_sent() -> None:
    settings = load()
    assert settings.sms_provider == "none"
    assert str(settings.twilio_api_url) == "https://api.twilio.com/"
    assert (settings.sms_segments_per_day, settings.sms_cooldown_s) == (1_000, 20)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMS_PROVIDER", "canary"),
        ("SMS_FROM", "canary-is-too-long"),
        ("SMS_FROM", "+1 500 canary"),
        ("SMS_FROM", "+1"),
        ("WHATSAPP_FROM", "canary"),
        ("WHATSAPP_FROM", "whatsapp:+15005550006"),
        ("SMS_SEGMENTS_PER_DAY", "-1"),
        ("SMS_COOLDOWN_S", "86401"),
        ("TWILIO_ACCOUNT_SID", "canary"),
        ("TWILIO_ACCOUNT_SID", SID + "\n"),
        ("TWILIO_MESSAGING_SERVICE_SID", SID),
        ("TWILIO_API_URL", "ftp://canary"),
        ("SMS_HTTP_URL", "canary"),
        ("SMS_HTTP_SECRET", "canary"),
        ("SMS_HTTP_SECRET", "whsec_Y2FuYXJ5"),
        ("SMS_HTTP_SECRET", "whsec_canary!"),
        ("SMS_HTTP_SECRET", "canary" + SECRET),
        ("SMS_HTTP_HEADERS", "canary"),
        ("SMS_HTTP_HEADERS", '["canary"]'),
        ("SMS_HTTP_HEADERS", '{"canary": 1}'),
        ("SMS_HTTP_DEDUPLICATES", "canary"),
    ],
)
def test_an_invalid_sms_setting_is_reported_in_one_line_without_being_quoted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SHOPBELL_{name}", value)
    line = _refusal()
    assert line.startswith(f"SHOPBELL_{name}: ")
    assert "\n" not in line
    assert "canary" not in line
    assert SID not in line


def test_twilio_needs_an_account_a_sender_and_a_callback_url() -> None:
    given: dict[str, object] = {"sms_provider": "twilio"}
    assert _refusal(**given) == "SHOPBELL_TWILIO_ACCOUNT_SID is required with SHOPBELL_SMS_PROVIDER=twilio"
    given["twilio_account_sid"] = SID
    assert _refusal(**given) == "SHOPBELL_TWILIO_AUTH_TOKEN is required with SHOPBELL_SMS_PROVIDER=twilio"
    given["twilio_auth_token"] = "canary"
    assert _refusal(**given).startswith("SHOPBELL_SMS_FROM, ")
    given["sms_from"] = "+15005550006"
    assert _refusal(**given) == "SHOPBELL_PUBLIC_URL is required with SHOPBELL_SMS_PROVIDER=twilio"
    given["public_url"] = PUBLIC
    assert "canary" not in repr(load(**given))


@pytest.mark.parametrize("sender", ["+15005550006", "12345", "Acme Bikes", "A1"])
def test_a_sender_is_a_number_a_short_code_or_a_name(sender: str) -> None:
    assert load(sms_from=sender).sms_from == sender


def test_an_http_service_needs_a_url_and_a_secret() -> None:
    given: dict[str, object] = {"sms_provider": "http"}
    assert _refusal(**given) == "SHOPBELL_SMS_HTTP_URL is required with SHOPBELL_SMS_PROVIDER=http"
    given["sms_http_url"] = "http://10.0.0.7:9000/texts"
    assert _refusal(**given) == "SHOPBELL_SMS_HTTP_SECRET is required with SHOPBELL_SMS_PROVIDER=http"
    given |= {"sms_http_secret": SECRET, "sms_http_headers": '{"Authorization": "Bearer canary"}'}
    settings = load(**given)
    assert SECRET not in repr(settings)
    assert "canary" not in repr(settings)
