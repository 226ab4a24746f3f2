"""The methods of a path, for the header ``Allow`` of a 405 (RFC 9110, 10.2.1)."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute, Match, Route


def all_routes(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """Yield the routes of an application, including those of its routers."""
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            yield from all_routes(included.routes)
        elif isinstance(route, Route):
            yield route


def allowed(routes: Iterable[BaseRoute], path: str) -> str:
    """Return the methods of a path that has a route, as ``Allow`` lists them."""
    scope = {"type": "http", "path": path, "root_path": "", "method": ""}
    matching = [route for route in all_routes(routes) if route.matches(scope)[0] is not Match.NONE]
    # A literal path wins over a parameter: `/deliveries/replay` is not the delivery named replay.
    meant = min((route.path for route in matching), key=lambda template: template.count("{"))
    methods = {method for route in matching if route.path == meant for method in route.methods or ()}
    return ", ".join(sorted(methods))
