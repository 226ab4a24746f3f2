"""The types of fields in requests, for pydantic. Each has its own error codes."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from unicodedata import category

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from shopbell.conversations.message_text import MESSAGE_MAX_CHARACTERS
from shopbell.errors import FieldError
from shopbell.formats import identities, names
from shopbell.http.request.ids import read_id


class Fields(BaseModel):
    """The fields of a request or a response, in camelCase for clients. ``null`` means absent for optional fields."""

    model_config = ConfigDict(
        strict=True, extra="ignore", alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )

    @classmethod
    def cross_field_errors(cls, document: Mapping[str, object]) -> list[FieldError]:
        """Check rules about several fields, even if one of them is invalid. pydantic checks such rules only if none is.

        Args:
            document: the body, as sent.
        """
        values = (
            (name, document.get(field.alias or name, document.get(name))) for name, field in cls.model_fields.items()
        )
        return cls.check_together({name: value for name, value in values if value is not None})

    @classmethod
    def check_together(cls, sent: Mapping[str, object]) -> list[FieldError]:
        """Return the errors of rules about several fields. Models with such rules override this.

        Args:
            sent: the fields that were sent with a value, valid or not, by their Python names.
        """
        del sent
        return []

    def given(self) -> dict[str, Any]:
        """Return the fields that were sent with a value, by their Python names."""
        sent = ((name, getattr(self, name)) for name in self.model_fields_set)
        return {name: value for name, value in sent if value is not None}


def pydantic_error(error: FieldError) -> PydanticCustomError:
    """Convert an error for a validator of pydantic to raise; ``field_errors`` converts it back."""
    # Code and text are in the context, because pydantic formats braces in a message.
    return PydanticCustomError(
        "field_error", "{detail}", {"field_code": error.code, "detail": error.detail, **error.members}
    )


def field_error(code: str, detail: str, **members: object) -> PydanticCustomError:
    """Create the error that a validator raises.

    Args:
        code: one of the stable codes of the API reference.
        detail: the rule, as the end of a sentence.
        members: further data of this code.
    """
    return pydantic_error(FieldError("", code, detail, members=members))


def _id(value: object) -> int:
    number, error = read_id(value, "")
    if error is not None:
        raise pydantic_error(error)
    return number


Id = Annotated[
    int,
    BeforeValidator(_id),
    WithJsonSchema({"type": ["string", "integer"], "pattern": "^(0|[1-9][0-9]{0,15})$", "minimum": 0}),
]
"""An id in a body: a decimal string or an integer."""


MUST_EXIST = {"x-must-exist": True}
"""Marks a query parameter whose id must exist. Other ids in the query are filters, which may find nothing."""

PathId = Annotated[int, BeforeValidator(_id), WithJsonSchema({"type": "string", "pattern": "^(0|[1-9][0-9]{0,15})$"})]
"""An id in a path. If it is not valid, the object does not exist: 404, not 400."""


def _sayable(text: str) -> str:
    if not text.strip():
        raise field_error("blank", "must not be blank")
    if "\0" in text:
        raise field_error("invalid_character", "must not contain U+0000")
    return text


MessageText = Annotated[str, StringConstraints(max_length=MESSAGE_MAX_CHARACTERS), AfterValidator(_sayable)]
"""A text for people: 1 to 10,000 characters, not blank, kept as sent."""


def _line(text: str) -> str:
    if any(category(character) in ("Cc", "Cs") for character in text):
        raise field_error("invalid_character", "must not contain control characters")
    return names.stored(text.strip())


def _filled(text: str) -> str:
    if not text:
        raise field_error("blank", "must not be blank")
    return text


Line = Annotated[str, StringConstraints(max_length=names.LINE_MAX_CHARACTERS), AfterValidator(_line)]
"""A name or title in NFC, 0 to 200 characters without control characters; outer white space is removed."""

FilledLine = Annotated[Line, AfterValidator(_filled)]
"""A ``Line`` that is not blank."""


def _by(normal: Callable[[str], str], code: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            normal(text)
        except ValueError as error:
            raise field_error(code, str(error)) from None
        return text

    return AfterValidator(check)


def typed(value: object) -> object:
    """Remove invisible characters, as pasted addresses have them. Values that are not strings stay as they are."""
    return identities.visible(value) if isinstance(value, str) else value


Email = Annotated[
    str,
    BeforeValidator(typed),
    StringConstraints(max_length=identities.EMAIL_MAX_CHARACTERS),
    _by(identities.normal_email, "invalid_email"),
]
"""An email address as typed, without invisible characters. ``identities.normal_email`` makes its normal form."""


def _content_sid(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise field_error("invalid_format", "must consist of letters, digits, - and _")
    return text


ContentSid = Annotated[str, StringConstraints(max_length=64), AfterValidator(_content_sid)]
"""The id of a template at the provider: 1 to 64 letters, digits, ``-`` and ``_``."""


def _locale(text: str) -> str:
    try:
        return identities.normal_locale(text)
    except ValueError as error:
        raise field_error("invalid_locale", str(error)) from None


Locale = Annotated[str, StringConstraints(max_length=identities.LOCALE_MAX_CHARACTERS), AfterValidator(_locale)]
"""A language tag (BCP 47), in normal form."""
