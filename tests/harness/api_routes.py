"""Routes of the API reference, and requests made from it."""

import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self, cast

import httpx2
from fastapi import FastAPI

from harness.api_objects import KINDS, PRIVATE_KEY
from harness.documented import responses_of
from harness.shop import Shop
from harness.world import World
from shopbell.http import routes
from shopbell.http.request.problems import Problems
from shopbell.settings.settings import Settings

ID_PATTERN = "^(0|[1-9][0-9]{0,15})$"


@cache
def reference() -> dict[str, Any]:
    """The reference of a server with the settings that all have unless told."""
    nothing: Any = None
    settings = Settings(database_url="sqlite:////nowhere/shopbell.db")
    edge = routes.build(
        settings,
        direct=[],
        streams={},
        services=nothing,
        demo=nothing,
        is_ready=nothing,
        problems=Problems(),
        note_response=nothing,
        lifespan=nothing,
    )
    app: Any = edge._rest
    while not isinstance(app, FastAPI):
        app = app.app
    return app.openapi()


@dataclass(frozen=True)
class Slot:
    """A place in a request where an id stands, or a list of ids."""

    where: str
    name: str
    is_list: bool = False

    @property
    def kind(self) -> str:
        """What it names."""
        assert self.name in KINDS, f"say in harness/api_objects.py what {self.name!r} names, and make one there"
        return KINDS[self.name]


@dataclass(frozen=True)
class Request:
    """A request to a route."""

    route: "Route"
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def with_id(self, slot: Slot, id_: object) -> Self:
        """The same with another id in one place."""
        if slot.where != "body":
            return replace(self, **{slot.where: {**getattr(self, slot.where), slot.name: str(id_)}})
        body = {**self.body, slot.name: [id_] if slot.is_list else id_}
        if slot.name == "mentionedUserIds":
            body["internal"] = True  # only notes mention employees
        if slot.name == "contentSid":
            body.pop("text", None)  # it stands instead of it
        return replace(self, body=body)

    def send(
        self, shop: Shop, token: str | None, *, content: bytes | None = None, slash: str = "", **headers: str
    ) -> httpx2.Response:
        """Send it; with other bytes as its body, or a slash at the path's end, where told."""
        path = re.sub(r"\{(\w+)\}", lambda name: self.path[name[1]], self.route.path) + slash
        all_headers = dict(headers) | ({} if token is None else {"token": token})
        how: dict[str, Any] = {}
        if content is not None:
            how["content"] = content
            all_headers.setdefault("content-type", "application/json")
        elif self.route.takes_file:
            how["files"] = {"file": ("receipt.txt", b"1 bell", "text/plain")}
        elif self.route.takes_json:
            how["json"] = self.body
        return shop.server.client.request(self.route.method, path, params=dict(self.query), headers=all_headers, **how)


@dataclass(frozen=True)
class Route:
    """A route of the API."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def described(self) -> dict[str, Any]:
        """What the reference says of it."""
        return cast("dict[str, Any]", reference()["paths"][self.path][self.method.lower()])

    @property
    def responses(self) -> dict[str, dict[str, Any]]:
        """The responses in the reference, by status."""
        return responses_of(reference(), self.path, self.method.lower())

    @property
    def scope(self) -> str | None:
        """What a token must be allowed to do; None if any token will do."""
        (scopes,) = (requirement["apiToken"] for requirement in self.described["security"])
        return cast("str | None", next(iter(scopes), None))

    @property
    def serves_single_businesses(self) -> bool:
        """Whether a role in a single business is enough."""
        return bool(self.described.get("x-single-businesses"))

    def sender(self, world: World) -> str:
        """A token that may send its examples: with its scope alone, unless it invites an employee.

        Who invites needs the permissions that the employee has.
        """
        return world.token if self.path.endswith("/invite") else self.token(world)

    def token(self, world: World) -> str:
        """A token with its scope alone."""
        return world.token if self.scope is None else world.scoped[self.scope]

    def token_without(self, world: World) -> str:
        """A token with another scope."""
        return next(token for scope, token in world.scoped.items() if scope != self.scope)

    @property
    def takes_file(self) -> bool:
        """Whether its body is a form with a file."""
        return "multipart/form-data" in self._bodies

    @property
    def takes_json(self) -> bool:
        """Whether its body is JSON."""
        return "application/json" in self._bodies

    @property
    def _bodies(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.described.get("requestBody", {}).get("content", {}))

    @property
    def body_schema(self) -> dict[str, Any]:
        """The schema of its JSON body; an empty one when it takes none."""
        return cast("dict[str, Any]", self._bodies.get("application/json", {}).get("schema", {}))

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Those of the path and the query."""
        return [each for each in self.described.get("parameters", []) if each["in"] in ("path", "query")]

    @property
    def slots(self) -> list[Slot]:
        """All places where an id can stand, those of what a request must name first."""
        required = [slot for each in self.parameters if _must_exist(each) for slot in _slots(each["in"], each)]
        others = [slot for each in self.parameters if not _must_exist(each) for slot in _slots(each["in"], each)]
        names = self.body_schema.get("properties", {})
        must = self.body_schema.get("required", ())
        in_body = [slot for name, schema in names.items() for slot in _slots("body", {"name": name, "schema": schema})]
        if self.path == "/api/templates":  # there it is not asked for, but given
            in_body = []
        return [
            *required,
            *(slot for slot in in_body if slot.name in must),
            *others,
            *(s for s in in_body if s.name not in must),
        ]

    def requests(self, things: Mapping[str, str]) -> list[Request]:
        """The examples of the reference, with the ids of things that are there."""
        path = {
            each["name"]: things[Slot("path", each["name"]).kind] for each in self.parameters if each["in"] == "path"
        }
        query = {
            each["name"]: things[Slot("query", each["name"]).kind]
            for each in self.parameters
            if each["in"] == "query" and each.get("required")
        }
        examples = self._bodies.get("application/json", {}).get("examples", {"none": {"value": None}})
        return [Request(self, path, query, self._real(example["value"], things)) for example in examples.values()]

    def _real(self, example: Any, things: Mapping[str, str]) -> Any:
        if example is None:
            return None
        real = {name: _with_real_ids(name, value, things) for name, value in example.items()}
        if self.path == "/api/templates":
            real["contentSid"] = f"HX{uuid.uuid4().hex}"
        if self.path == "/api/tags":
            real["name"] = uuid.uuid4().hex
        if self.path == "/api/saved-replies":
            real["shortcut"] = uuid.uuid4().hex
        if self.path == "/api/authenticate-customer":
            real["nonce"], real["algorithm"] = uuid.uuid4().hex, "hmac-sha256"
            said = f"{real['nonce']}:{real['customerId']}".encode()
            real["digest"] = hmac.digest(things.get(PRIVATE_KEY, "").encode(), said, "sha256").hex()
        if "email" in real:
            real["email"] = f"{uuid.uuid4().hex}@example.com"
        return real


def _must_exist(parameter: dict[str, Any]) -> bool:
    return bool(parameter.get("required") or parameter["schema"].get("x-must-exist"))


def _with_real_ids(name: str, example: Any, things: Mapping[str, str]) -> Any:
    if name not in KINDS:
        return example
    return [things[KINDS[name]]] * len(example) if isinstance(example, list) else things[KINDS[name]]


def _slots(where: str, parameter: dict[str, Any]) -> list[Slot]:
    """The place of a parameter, if an id or a list of ids stands there."""
    schema, name = parameter["schema"], parameter["name"]
    parts = (schema, *schema.get("anyOf", ()))
    if name == "contentSid" or any(part.get("pattern") == ID_PATTERN for part in parts):
        return [Slot(where, name)]
    is_list = any(part.get("items", {}).get("pattern") == ID_PATTERN for part in parts)
    return [Slot(where, name, is_list=True)] if is_list else []


API_ROUTES = [
    Route(method.upper(), path)
    for path, operations in reference()["paths"].items()
    for method, operation in operations.items()
    # A stream has no end for a client to wait for, and customers have no token: both have tests of their own.
    if path.startswith("/api/")
    and "text/event-stream" not in responses_of(reference(), path, method)["200"].get("content", {})
    and operation["security"] not in ([], [{"customerSession": []}])
]
SCOPED_ROUTES = [route for route in API_ROUTES if route.scope is not None]
"""The routes that not every token may call."""
