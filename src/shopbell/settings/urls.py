"""Check the http(s) URLs of settings."""

from pydantic import AfterValidator, AnyHttpUrl


def _without(**parts: str) -> AfterValidator:
    """Refuse a URL with any of these parts: attributes of ``AnyHttpUrl``, with their names in the error."""
    *names, last = parts.values()

    def check(value: AnyHttpUrl | None) -> AnyHttpUrl | None:
        if value is not None and any(getattr(value, part) is not None for part in parts):
            raise ValueError(f"must be an http(s) URL without {', '.join(names)} or {last}")
        return value

    return AfterValidator(check)


IS_BASE_URL = _without(query="query", fragment="fragment", username="user", password="password")  # noqa: S106 - a name
"""For a URL to which Shopbell appends paths."""
IS_REQUEST_URL = _without(fragment="fragment", username="user", password="password")  # noqa: S106
"""For a URL that Shopbell requests as it is; it may have a query."""
