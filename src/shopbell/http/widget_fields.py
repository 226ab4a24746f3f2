"""The headers and fields of a widget message: all that is wrong with them is found at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category, normalize

from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.errors import FieldError
from shopbell.formats.identities import (
    EMAIL_MAX_CHARACTERS,
    LOCALE_MAX_CHARACTERS,
    is_international,
    looks_like_phone,
    normal_email,
    normal_locale,
    normal_phone,
    phone_fault,
)
from shopbell.http.request.ids import read_id
from shopbell.http.request.json_headers import Headers, read_json_headers
from shopbell.http.request.json_object import parse_object

NAME_MAX_CHARACTERS = 200


@dataclass(slots=True)
class WidgetMessage:
    """The fields of a request, as far as they are valid, and all ``errors``.

    ``email``, ``phone`` and ``locale`` are as sent; ``normal_…`` and ``name`` are in normal form. ``read_phone`` finds
    the normal form of the phone number, for which it needs the region of the business.
    """

    idempotency_key: str | None = None
    business_id: int | None = None
    message: str = ""
    email: str | None = None
    normal_email: str = ""
    phone: str | None = None
    normal_phone: str = ""
    locale: str | None = None
    normal_locale: str | None = None
    name: str | None = None
    errors: list[FieldError] = field(default_factory=list)

    def read_headers(self, headers: Headers) -> bool:
        """Read the headers, and return whether the body can be read. A compressed body cannot."""
        read = read_json_headers(headers)
        self.idempotency_key = read.idempotency_key
        self.errors += read.errors
        return read.readable

    def read_body(self, body: bytes) -> None:
        """Read the body, except for the normal form of the phone number."""
        document, malformed = parse_object(body)
        if malformed is not None:
            self.errors.append(malformed)
            return
        business_id = document.get("businessId")
        if business_id is None:
            self.errors.append(_required("businessId"))
        else:
            number, error = read_id(business_id, "businessId")
            if error is None:
                self.business_id = number
            else:
                self.errors.append(error)
        self._read_message(document.get("message"))
        self._read_user(document.get("user"))

    def _read_message(self, message: object) -> None:
        pointer = "message"
        if message is None:
            self.errors.append(_required(pointer))
        elif not isinstance(message, str):
            self.errors.append(_type(pointer, "string"))
        else:
            self.message = message
            if not message.strip():
                self.errors.append(FieldError(pointer, "blank", "must not be blank"))
            if len(message) > MESSAGE_MAX_CHARACTERS:
                self.errors.append(_too_long(pointer, MESSAGE_MAX_CHARACTERS))
            if "\0" in message:
                self.errors.append(FieldError(pointer, "invalid_character", "must not contain U+0000"))

    def _read_user(self, user: object) -> None:
        pointer = "user"
        if user is None:
            self.errors.append(_required(pointer))
        elif not isinstance(user, dict):
            self.errors.append(_type(pointer, "object"))
        else:
            if user.get("email") is None and user.get("phoneNumber") is None:
                sentence = "Field 'user' must contain 'email' or 'phoneNumber'."
                self.errors.append(
                    FieldError(pointer, "contact_required", "must contain email or phoneNumber", sentence)
                )
            self.email = self._read_text(user, "email")
            self.phone = self._read_text(user, "phoneNumber")
            self.locale = self._read_text(user, "locale")
            self.name = _name(user.get("name"))
            self.normal_email = self._normal(self.email, "email", EMAIL_MAX_CHARACTERS, normal_email) or ""
            self.normal_locale = self._normal(self.locale, "locale", LOCALE_MAX_CHARACTERS, normal_locale)

    def _read_text(self, user: dict[str, Any], name: str) -> str | None:
        value = user.get(name)
        if value is None or isinstance(value, str):
            return value
        self.errors.append(_type(f"user/{name}", "string"))
        return None

    def _normal(self, text: str | None, name: str, limit: int, normal: Callable[[str], str]) -> str | None:
        if text is None:
            return None
        if len(text) > limit:
            self.errors.append(_too_long(f"user/{name}", limit))
            return None
        try:
            return normal(text)
        except ValueError as error:
            self.errors.append(FieldError(f"user/{name}", f"invalid_{name}", str(error)))
            return None

    def read_phone(self, *, region: str | None, is_ours: bool) -> None:
        """Find the normal form of the phone number.

        Args:
            region: the default region of the business. is_ours: whether the business belongs to the organization. If
            not, its region is not revealed: only characters
                and length of a number without ``+`` are checked.
        """
        if self.phone is None:
            return
        if is_ours or is_international(self.phone):
            try:
                self.normal_phone = normal_phone(self.phone, region)
            except ValueError as error:
                self.errors.append(_invalid_phone(str(error)))
        elif not looks_like_phone(self.phone):
            self.errors.append(_invalid_phone(phone_fault(self.phone)))


def _name(value: object) -> str | None:
    """Return a name in NFC, or None if it is not one line of 1 to 200 characters. An invalid name is ignored."""
    if not isinstance(value, str) or len(value) > NAME_MAX_CHARACTERS:
        return None
    name = normalize("NFC", value.strip())
    return None if any(category(character) in ("Cc", "Cs") for character in name) else name or None


def _required(pointer: str) -> FieldError:
    return FieldError(pointer, "required", "is required")


def _invalid_phone(detail: str) -> FieldError:
    return FieldError("user/phoneNumber", "invalid_phone_number", detail)


def _type(pointer: str, expected: str) -> FieldError:
    article = "an" if expected == "object" else "a"
    return FieldError(pointer, "type", f"must be {article} {expected}", members={"expected": expected})


def _too_long(pointer: str, limit: int) -> FieldError:
    return FieldError(pointer, "too_long", f"must have at most {limit} characters", members={"maxLength": limit})
