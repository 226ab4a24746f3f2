"""The settings of texts (SMS and WhatsApp): which provider carries them, and what they may cost."""

import base64
import binascii
import json
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

_HTTP_SECRET_MIN_BYTES = 24
_NEEDED = {
    "twilio": ("twilio_account_sid", "twilio_auth_token"),
    "http": ("sms_http_url", "sms_http_secret"),
}


def _number(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"\+[1-9][0-9]{4,14}", value):
        raise ValueError("must be a phone number with + and the country code, digits only")
    return value


def _sender(value: str | None) -> str | None:
    """A number, a short code, or a name as many countries allow it."""
    if value is None or re.fullmatch(r"\+[1-9][0-9]{4,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 &_+-]{2,11}", value):
        return value
    raise ValueError("must be a phone number with + and the country code, a short code, or a name of 2 to 11 letters")


def _sid(beginning: str) -> AfterValidator:
    def check(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(f"{beginning}[0-9a-fA-F]{{32}}", value):
            raise ValueError(f"must be {beginning} and 32 hexadecimal digits")
        return value

    return AfterValidator(check)


class TextSettings(BaseSettings):
    """What ``Settings`` says about texts."""

    sms_provider: Literal["none", "twilio", "http", "folder"] = Field(
        "none",
        description="Who carries SMS and WhatsApp: Twilio, a service of yours by HTTP, or a folder of files to look at "
        "while developing. `none` sends no texts: each fails with the reason `no_sms_provider`.",
    )
    sms_from: Annotated[str | None, AfterValidator(_sender)] = Field(
        None,
        description="Sender of SMS for businesses without a phone number of their own: `+15005550006`, a short code, "
        "or a name where that is allowed.",
    )
    whatsapp_from: Annotated[str | None, AfterValidator(_number)] = Field(
        None, description="Phone number of the WhatsApp sender, `+15005550006`; without it nothing goes by WhatsApp."
    )
    sms_segments_per_day: int = Field(
        1_000,
        ge=0,
        le=100_000_000,
        description="Most segments (what a text is billed by) that one organization may send a day (UTC); what is "
        "above it fails with the reason `daily_cap`.",
    )
    sms_cooldown_s: int = Field(
        20,
        ge=0,
        le=86_400,
        description="Fewest seconds between two texts to one number; what comes sooner waits, and several answers "
        "become one text.",
    )
    twilio_account_sid: Annotated[str | None, _sid("AC")] = Field(None, description="Account SID at Twilio.")
    twilio_auth_token: SecretStr | None = Field(
        None, description="Auth token of that account; Twilio signs its requests to us with it, too."
    )
    twilio_messaging_service_sid: Annotated[str | None, _sid("MG")] = Field(
        None, description="Messaging service that chooses the sender of SMS where a business has no number of its own."
    )
    twilio_api_url: AnyHttpUrl = Field(
        AnyHttpUrl("https://api.twilio.com"), description="Address of Twilio's API, or of one that speaks like it."
    )
    sms_http_url: AnyHttpUrl | None = Field(
        None, description="Where texts are posted to as JSON with `SHOPBELL_SMS_PROVIDER=http`; may be a private place."
    )
    sms_http_secret: SecretStr | None = Field(
        None, description="`whsec_` and at least 24 bytes in base64: signs these requests, and those that come back."
    )
    sms_http_headers: SecretStr | None = Field(
        None, description='Headers of these requests as a JSON object: `{"Authorization": "Bearer …"}`.'
    )
    sms_http_deduplicates: bool = Field(
        False,
        description="Whether that service sends a text only once however often its `id` comes; only then one whose "
        "fate is unknown is posted again.",
    )

    @property
    def wants_no_texts(self) -> bool:
        """Whether the operator chose to send no texts: ``none`` was set, and is not only the default."""
        return self.sms_provider == "none" and "sms_provider" in self.model_fields_set

    @field_validator("sms_http_secret")
    @classmethod
    def _a_signing_secret(cls, value: SecretStr | None) -> SecretStr | None:
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
    def _an_object_of_texts(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                headers = json.loads(value.get_secret_value())
            except (ValueError, RecursionError):
                headers = None
            if not isinstance(headers, dict) or not all(isinstance(header, str) for header in headers.values()):
                raise ValueError('must be a JSON object of texts, such as {"Authorization": "Bearer …"}')
        return value

    @model_validator(mode="after")
    def _what_the_provider_needs(self) -> Self:
        for name in _NEEDED.get(self.sms_provider, ()):
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
