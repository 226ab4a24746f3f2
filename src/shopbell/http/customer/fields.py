"""The kinds of fields that customers' browsers send."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from shopbell import identity
from shopbell.http.api.fields import wrong


def _locale(text: str) -> str:
    try:
        return identity.normal_locale(text)
    except ValueError as error:
        raise wrong("invalid_locale", str(error)) from None


Locale = Annotated[str, StringConstraints(max_length=identity.LOCALE_MAX_CHARACTERS), AfterValidator(_locale)]
"""A language tag; here in normal form."""
