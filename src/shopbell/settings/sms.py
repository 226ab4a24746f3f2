"""Settings for text messages (SMS and WhatsApp); ``Settings`` inherits them."""

import base64
import binascii
import json
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from shopbell.settings.urls import IS_BASE_URL, IS_REQUEST_URL

_HTTP_SECRET_MIN_BYTES = 24
_REQUIRED = {
    "twilio": ("twilio_account_sid", "twilio_auth_token"),
    "http": ("sms_http_url", "sms_http_secret"),
}


def _check_phone_number(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\+[1-9][0-9]{4,14}", value):
        raise ValueError("must be a phone number with + and the country code, without spaces")
    return value


def _check_sender(value: str | None) -> str | None:
    """Accept a phone number, a short code, or a name (allowed in many countries)."""
    if value is None or re.fullmatch(r"\+[1-9][0-9]{4,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 &_+-]{2,11}", value):
        return value
    raise ValueError(
        "must be a phone number with + and the country code, a short code, or a name of 2 to 11 characters"
    )


def _sid(prefix: str) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", value):
            raise ValueError(f"must be {prefix} followed by 32 hexadecimal digits")
        return value

    return AfterValidator(check)


class SmsSettings(BaseSettings):
    """How Shopbell sends and receives SMS and WhatsApp messages."""

    sms_provider: Literal["none", "twilio", "http", "folder"] = Field(
        "none",
        description="Provider of SMS and WhatsApp: `twilio`, your own service over `http`, or a `folder` of files for "
        "development. With `none`, every text message fails with the reason `no_sms_provider`.",
    )
    sms_from: Annotated[str | None, AfterValidator(_check_sender)] = Field(
        None,
        description="SMS sender of businesses without their own phone number: `+15005550006`, a short code, or a name "
        "where the country allows it.",
    )
    whatsapp_from: Annotated[str | None, AfterValidator(_check_phone_number)] = Field(
        None,
        description="Phone number of the WhatsApp sender: `+15005550006`. If unset, Shopbell sends no WhatsApp "
        "messages.",
    )
    sms_segments_per_day: int = Field(
        1_000,
        ge=0,
        le=100_000_000,
        description="Maximum SMS segments (the billing unit) that one organization may send per day (UTC). Further "
        "text messages fail with the reason `daily_cap`.",
    )
    sms_cooldown_s: int = Field(
        20,
        ge=0,
        le=86_400,
        description="Minimum time between two text messages to one number. Earlier ones wait, and several waiting "
        "replies become one text message.",
    )
    twilio_account_sid: Annotated[str | None, _sid("AC")] = Field(None, description="Twilio account SID.")
    twilio_auth_token: SecretStr | None = Field(
        None, description="Twilio auth token. Twilio also signs its requests to Shopbell with it."
    )
    twilio_messaging_service_sid: Annotated[str | None, _sid("MG")] = Field(
        None,
        description="Twilio messaging service that picks the SMS sender of businesses without their own phone number.",
    )
    twilio_api_url: Annotated[AnyHttpUrl, IS_BASE_URL] = Field(
        AnyHttpUrl("https://api.twilio.com"), description="URL of Twilio's API or of a compatible one."
    )
    sms_http_url: Annotated[AnyHttpUrl | None, IS_REQUEST_URL] = Field(
        None, description="URL to which `SHOPBELL_SMS_PROVIDER=http` posts text messages as JSON. It may be private."
    )
    sms_http_secret: SecretStr | None = Field(
        None,
        description="`whsec_` and at least 24 bytes in base64. Signs these requests and the provider's requests to "
        "Shopbell.",
    )
    sms_http_headers: SecretStr | None = Field(
        None, description='Extra headers of these requests, as a JSON object: `{"Authorization": "Bearer …"}`.'
    )
    sms_http_deduplicates: bool = Field(
        False,
        description="Whether the provider sends a text message only once if it receives its `id` again. Only then does "
        "Shopbell retry a text message whose outcome is unknown.",
    )

    @property
    def sms_turned_off(self) -> bool:
        """Whether the operator explicitly set the provider to ``none``."""
        return self.sms_provider == "none" and "sms_provider" in self.model_fields_set

    @field_validator("sms_http_secret")
    @classmethod
    def _check_sms_http_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            prefix, _, encoded = value.get_secret_value().partition("whsec_")
            try:
                size_bytes = -1 if prefix else len(base64.b64decode(encoded, validate=True))
            except binascii.Error:
                size_bytes = -1
            if size_bytes < _HTTP_SECRET_MIN_BYTES:
                raise ValueError(f"must be whsec_ and at least {_HTTP_SECRET_MIN_BYTES} bytes in base64")
        return value

    @field_validator("sms_http_headers")
    @classmethod
    def _check_sms_http_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                headers = json.loads(value.get_secret_value())
            except (ValueError, RecursionError):
                headers = None
            if not isinstance(headers, dict) or not all(isinstance(header, str) for header in headers.values()):
                raise ValueError('must be a JSON object of strings, such as {"Authorization": "Bearer …"}')
        return value

    @model_validator(mode="after")
    def _check_provider_requirements(self) -> Self:
        for name in _REQUIRED.get(self.sms_provider, ()):
            if getattr(self, name) is None:
                raise ValueError(f"SHOPBELL_{name.upper()} is required with SHOPBELL_SMS_PROVIDER={self.sms_provider}")
        if self.sms_provider == "twilio" and not (
            self.sms_from or self.twilio_messaging_service_sid or self.whatsapp_from
        ):
            raise ValueError(
                "SHOPBELL_SMS_FROM, SHOPBELL_TWILIO_MESSAGING_SERVICE_SID or SHOPBELL_WHATSAPP_FROM is required with "
                "SHOPBELL_SMS_PROVIDER=twilio"
            )
        return self
