"""Values of the command line, checked by the rules of the domain."""

from collections.abc import Callable, Mapping

from shopbell.errors import CommandError


def checked(rules: Mapping[str, Callable[[str], str]], **given: str | None) -> dict[str, str]:
    """Bring the given values into their normal form.

    Args:
        rules: by name, what returns the normal form or raises ``ValueError`` with the end of a sentence.
        given: by name; None is left out.

    Raises:
        CommandError: values are not valid; one line for each, which does not repeat the value.
    """
    values: dict[str, str] = {}
    faults: list[str] = []
    for name, text in given.items():
        if text is None:
            continue
        try:
            values[name] = rules[name](text)
        except ValueError as error:
            faults.append(f"the {name.replace('_', ' ').replace('email', 'email address')} {error}")
    if faults:
        raise CommandError("\n".join(faults))
    return values
