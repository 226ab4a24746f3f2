"""The language that a browser prefers."""

from fastapi import Request


def preferred_language(request: Request) -> str:
    """The first tag of ``Accept-Language``, which browsers order; empty if there is none."""
    return request.headers.get("accept-language", "").partition(",")[0].partition(";")[0].strip()
