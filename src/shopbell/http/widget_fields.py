"""The headers and fields of a widget message: all that is wrong with them is found at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unicodedata import category, normalize

from shopbell.errors import Fault
from shopbell.http.ids import read_id
from shopbell.http.json_body import parse_object
from shopbell.http.json_headers import Headers, read_json_headers
from shopbell.identity import (
    EMAIL_MAX_CHARACTERS,
    LOCALE_MAX_CHARACTERS,
    is_international,
    looks_like_phone,
    normal_email,
    normal_locale,
    normal_phone,
    phone_fault,
)

MESSAGE_MAX_CHARACTERS = 10_000
NAME_MAX_CHARACTERS = 200


@dataclass(slots=True)
class WidgetMessage:
    """What a request says, as far as it could be read; ``faults`` holds all that is wrong with it.

    E-mail, phone and locale are as sent; ``normal_…`` are their normal forms, and so is ``name``. The phone number's is
    only found with the business's region, by ``read_phone``.
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
    faults: list[Fault] = field(default_factory=list)

    def read_headers(self, headers: Headers) -> bool:
        """Read the headers of the request.

        Returns:
            Whether the body can be read at all: not when it is compressed.
        """
        read = read_json_headers(headers)
        self.idempotency_key = read.idempotency_key
        self.faults += read.faults
        return read.readable

    def read_body(self, body: bytes) -> None:
        """Read the body of the request, all but the meaning of the phone number."""
        document, fault = parse_object(body)
        if fault is not None:
            self.faults.append(fault)
            return
        business_id = document.get("businessId")
        if business_id is None:
            self.faults.append(_required("#/businessId"))
        else:
            number, fault = read_id(business_id, "#/businessId")
            if fault is None:
                self.business_id = number
            else:
                self.faults.append(fault)
        self._read_message(document.get("message"))
        self._read_user(document.get("user"))

    def _read_message(self, message: object) -> None:
        pointer = "#/message"
        if message is None:
            self.faults.append(_required(pointer))
        elif not isinstance(message, str):
            self.faults.append(_type(pointer, "string"))
        else:
            self.message = message
            if not message.strip():
                self.faults.append(Fault("body", pointer, "blank", "must not be blank"))
            if len(message) > MESSAGE_MAX_CHARACTERS:
                self.faults.append(_too_long(pointer, MESSAGE_MAX_CHARACTERS))
            if "\0" in message:
                self.faults.append(Fault("body", pointer, "invalid_character", "must not contain U+0000"))

    def _read_user(self, user: object) -> None:
        pointer = "#/user"
        if user is None:
            self.faults.append(_required(pointer))
        elif not isinstance(user, dict):
            self.faults.append(_type(pointer, "object"))
        else:
            if user.get("email") is None and user.get("phoneNumber") is None:
                sentence = "Field 'user' must contain 'email' or 'phoneNumber'."
                self.faults.append(
                    Fault("body", pointer, "contact_required", "must contain email or phoneNumber", sentence)
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
        self.faults.append(_type(f"#/user/{name}", "string"))
        return None

    def _normal(self, text: str | None, name: str, limit: int, normal: Callable[[str], str]) -> str | None:
        if text is None:
            return None
        if len(text) > limit:
            self.faults.append(_too_long(f"#/user/{name}", limit))
            return None
        try:
            return normal(text)
        except ValueError as error:
            self.faults.append(Fault("body", f"#/user/{name}", f"invalid_{name}", str(error)))
            return None

    def read_phone(self, *, region: str | None, is_ours: bool) -> None:
        """Find the phone number's normal form.

        Args:
            region: the business's default region.
            is_ours: whether the business is the token's; of another's nobody learns the region, so only characters
                and length of a number without ``+`` are looked at.
        """
        if self.phone is None:
            return
        if is_ours or is_international(self.phone):
            try:
                self.normal_phone = normal_phone(self.phone, region)
            except ValueError as error:
                self.faults.append(_invalid_phone(str(error)))
        elif not looks_like_phone(self.phone):
            self.faults.append(_invalid_phone(phone_fault(self.phone)))


def _name(value: object) -> str | None:
    """A person's name in NFC; None for anything but a line of 1 to 200 characters: a name is no reason to refuse."""
    if not isinstance(value, str) or len(value) > NAME_MAX_CHARACTERS:
        return None
    name = normalize("NFC", value.strip())
    return None if any(category(character) in ("Cc", "Cs") for character in name) else name or None


def _required(pointer: str) -> Fault:
    return Fault("body", pointer, "required", "is required")


def _invalid_phone(detail: str) -> Fault:
    return Fault("body", "#/user/phoneNumber", "invalid_phone_number", detail)


def _type(pointer: str, expected: str) -> Fault:
    article = "an" if expected == "object" else "a"
    return Fault("body", pointer, "type", f"must be {article} {expected}", members={"expected": expected})


def _too_long(pointer: str, limit: int) -> Fault:
    return Fault("body", pointer, "too_long", f"must have at most {limit} characters", members={"maxLength": limit})
