"""Which methods a path has, for ``Allow`` in a 405 (RFC 9110: all of them, though each is a route of its own)."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute, Match, Route


def all_routes(routes: Iterable[BaseRoute]) -> Iterator[Route]:
    """The routes of an application, those of the routers that it includes among them."""
    for route in routes:
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            yield from all_routes(included.routes)
        elif isinstance(route, Route):
            yield route


def allowed(routes: Iterable[BaseRoute], path: str) -> str:
    """The methods of a path, as ``Allow`` lists them.

    Args:
        routes: those of the application.
        path: one that a route has.
    """
    scope = {"type": "http", "path": path, "root_path": "", "method": ""}
    matching = [route for route in all_routes(routes) if route.matches(scope)[0] is not Match.NONE]
    # What is spelled out is meant: `/deliveries/replay` is not the delivery of that name.
    meant = min((route.path for route in matching), key=lambda template: template.count("{"))
    methods = {method for route in matching if route.path == meant for method in route.methods or ()}
    return ", ".join(sorted(methods))
