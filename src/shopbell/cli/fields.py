"""Values of command lines under the rules that requests have, told in the command line's own way."""

from typing import TYPE_CHECKING, TypeVar

from shopbell.errors import CommandError

if TYPE_CHECKING:
    from shopbell.http.api.fields import Fields

F = TypeVar("F", bound="Fields")


def checked(model: type[F], **given: object) -> F:
    """What was given, as a request's body would be taken.

    Args:
        model: the fields of the request that does the same.
        given: by their names here; None is left out.

    Raises:
        CommandError: values are wrong; one line for each, and none of them repeats a value.
    """
    from pydantic import ValidationError

    from shopbell.http.api.body import faults_of

    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = faults_of(error.errors(include_url=False))
        raise CommandError("\n".join(f"the {_in_words(fault.name)} {fault.detail}" for fault in faults)) from None


def _in_words(pointer: str) -> str:
    return pointer.removeprefix("#/").replace("_", " ").replace("email", "e-mail address")
