"""GraphQL: stored operations, plain queries and limits."""

import json
import time
from typing import Any

import httpx2
import pytest
from graphql import execute_sync, parse, validate

from harness import ROOT
from harness.shop import Shop
from harness.world import GLOBEX_CANARY
from shopbell.http.api.graphql import QUERY_MAX_CHARACTERS
from shopbell.http.api.graphql_queries import DEPTH_MAX, SCHEMA, SDL, TOKENS_MAX

READ, RENAME = "get-customer-profile-query", "update-customer-profile-name-mutation"
PLAIN = "query ($id: ID!) { customer(customerId: $id) { id firstName } }"
SECRET = "sesame"


def ask(shop: Shop, query: str, token: str | None = "", **variables: Any) -> httpx2.Response:
    """Send a query with Acme's token, another one, or none."""
    return post(shop, {"query": query, "variables": variables}, token)


def post(shop: Shop, body: object, token: str | None = "") -> httpx2.Response:
    """Send a body (JSON unless it is bytes) as a client of the vendor does."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authentication-Token"] = token or shop.world.token
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return shop.server.client.post("/graphql", content=content, headers=headers)


def data(answer: httpx2.Response) -> Any:
    """The data of an answer without errors."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"data"}, answer.text
    return answer.json()["data"]


def error(answer: httpx2.Response, status: int = 200) -> tuple[str, str]:
    """Code and text of the one error of an answer."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    (found,) = answer.json()["errors"]
    return found["extensions"]["code"], found["message"]


def profile(shop: Shop, customer_id: int | str, token: str = "") -> dict[str, Any]:
    """The profile by the other route."""
    headers = {"token": token or shop.world.token}
    answer = shop.server.client.get(f"/api/customers/{customer_id}/profile", headers=headers)
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def carol(shop: Shop) -> int:
    """A customer of Acme's."""
    return shop.customer_of(shop.send())


def test_the_stored_query_returns_the_profile(shop: Shop, carol: int) -> None:
    for customer_id in (str(carol), carol):
        answer = ask(shop, READ, customerId=customer_id, customerType="prospect")
        assert data(answer) == {"customer": profile(shop, carol)}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "authentication-token"
    assert answer.headers["ratelimit"].startswith('"token";r=')


def test_the_stored_query_needs_no_type(shop: Shop, carol: int) -> None:
    assert data(ask(shop, READ, customerId=str(carol)))["customer"]["id"] == str(carol)


def test_the_stored_mutation_sets_the_names(shop: Shop, carol: int) -> None:
    changed = data(ask(shop, RENAME, customerId=str(carol), firstName=" Carol ", lastName="Jones"))["customer"]
    assert (changed["firstName"], changed["lastName"], changed["company"]) == ("Carol", "Jones", None)
    assert changed == profile(shop, carol)


def test_the_stored_mutation_sets_the_company_and_keeps_it_if_absent(shop: Shop, carol: int) -> None:
    ask(shop, RENAME, customerId=str(carol), firstName="Carol", lastName="Jones", company="Acme")
    changed = data(ask(shop, RENAME, customerId=str(carol), firstName="", lastName="Jones"))["customer"]
    assert (changed["firstName"], changed["lastName"], changed["company"]) == (None, "Jones", "Acme")


def test_the_survey_score_has_its_time_in_milliseconds(shop: Shop, carol: int) -> None:
    now_ms = time.time_ns() // 1_000_000
    thread_id = shop.database.value("SELECT id FROM threads WHERE customer_id = :id", id=carol)
    shop.database.change(
        "INSERT INTO surveys (organization_id, id, thread_id, customer_id, kind, asked_at_ms, answered_at_ms, score)"
        " VALUES (:o, :id, :t, :c, 'nps', :at, :at, 8)",
        o=int(shop.world.acme),
        id=9_000_000_000 + carol,
        t=thread_id,
        c=carol,
        at=now_ms,
    )
    query = "query ($id: ID!) { customer(customerId: $id) { lastSurveys { nps { createdAt text } } } }"
    assert data(ask(shop, query, id=carol)) == {
        "customer": {"lastSurveys": {"nps": {"createdAt": now_ms, "text": "8"}}}
    }


def test_a_query_returns_the_requested_fields(shop: Shop, carol: int) -> None:
    assert data(ask(shop, PLAIN, id=str(carol))) == {"customer": {"id": str(carol), "firstName": None}}
    inline = f'{{ __typename who: customer(customerId: "{carol}") {{ ...f }} }} fragment f on Customer {{ type }}'
    assert data(ask(shop, inline)) == {"__typename": "Query", "who": {"type": "prospect"}}


def test_operation_name_selects_one_of_several_operations(shop: Shop, carol: int) -> None:
    query = f'query a {{ customer(customerId: "{carol}") {{ id }} }} query b {{ customer(customerId: "0") {{ id }} }}'
    assert data(post(shop, {"query": query, "operationName": "a"})) == {"customer": {"id": str(carol)}}
    assert error(post(shop, {"query": query})) == (
        "validation-error",
        "'operationName' must name one of the query's operations",
    )


@pytest.mark.parametrize("customer_id", ["0", "sesame", "9007199254740993", -1, 2**70])
def test_an_unknown_customer_is_null_with_an_error(shop: Shop, customer_id: object) -> None:
    for query in (READ, RENAME):
        answer = ask(shop, query, customerId=customer_id, firstName="Carol", lastName="Jones")
        assert error(answer) == ("not-found", "The organization has no such customer")
        assert answer.json()["data"] == {"customer": None}
        assert answer.json()["errors"][0]["path"] == ["customer"]


def test_a_customer_of_another_type_is_not_found(shop: Shop, carol: int) -> None:
    assert error(ask(shop, READ, customerId=str(carol), customerType="employee"))[0] == "not-found"


def test_globexs_customer_does_not_exist_for_acme(shop: Shop) -> None:
    world = shop.world
    thread_id = shop.send(token=world.globex_token, businessId=world.london, message=GLOBEX_CANARY)
    dave = shop.customer_of(thread_id)
    before = profile(shop, dave, world.globex_token)
    for query in (READ, RENAME):
        foreign = ask(shop, query, customerId=str(dave), firstName="x", lastName="y")
        nobody = ask(shop, query, customerId="0", firstName="x", lastName="y")
        assert foreign.json() == nobody.json()
    assert profile(shop, dave, world.globex_token) == before
    assert data(ask(shop, READ, world.globex_token, customerId=str(dave))) == {"customer": before}


def test_all_invalid_tokens_get_the_same_response(shop: Shop, carol: int) -> None:
    world, told = shop.world, set()
    for token in ("sb_live_stranger", "sb_live_" + "0" * 49, world.revoked_token, world.expired_token):
        for body in ({"query": READ, "variables": {"customerId": str(carol)}}, b"no JSON"):
            answer = post(shop, body, token)
            assert answer.headers["www-authenticate"] == 'ApiToken realm="api"'
            told.add((*error(answer, 401), answer.text))
    ((code, message, _),) = told
    assert (code, message) == ("unauthorized", "Header 'Authentication-Token' is not a valid API token")


def test_the_token_header_of_other_routes_is_not_accepted(shop: Shop) -> None:
    answer = shop.post({"query": PLAIN}, path="/graphql")
    assert error(answer, 401) == ("unauthorized", "Header 'Authentication-Token' is missing")


def test_a_token_needs_the_scopes_of_the_operation(shop: Shop, carol: int) -> None:
    names = {"customerId": str(carol), "firstName": "Carol", "lastName": "Jones"}
    for scope, token in shop.world.scoped.items():
        reads, renames = ask(shop, READ, token, **names), ask(shop, RENAME, token, **names)
        if scope == "customers:read":
            assert data(reads)["customer"]["id"] == str(carol)
            assert error(renames, 403) == ("forbidden", "Scope 'customers:write' is missing")
        else:
            for answer in (reads, renames, post(shop, b"no JSON", token)):
                assert error(answer, 403) == ("forbidden", "Scope 'customers:read' is missing"), scope
    assert profile(shop, carol)["firstName"] is None


def test_every_request_counts_towards_the_rate_limit_of_its_token(slow_shop: Shop) -> None:
    token = slow_shop.spare_token()["token"]
    refused = next(
        answer for answer in (ask(slow_shop, "{ __typename }", token) for _ in range(200)) if answer.status_code != 200
    )
    assert error(refused, 429)[0] == "quota-exceeded"
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no JSON", "Body is not valid JSON (line 1, column 1)."),
        (b"[]", "Body must be a JSON object (line 1, column 1)."),
        (b"{}", "Field 'query' is required."),
        (b'{"query":1}', "Field 'query' must be a string."),
        (b'{"query":"{__typename}","variables":[]}', "Field 'variables' must be an object."),
        (
            json.dumps({"query": "#" * (QUERY_MAX_CHARACTERS + 1)}).encode(),
            "Field 'query' must have at most 5000 characters.",
        ),
    ],
    ids=["no JSON", "list", "nothing", "number", "variables", "long"],
)
def test_an_invalid_request_body_is_refused(shop: Shop, body: bytes, says: str) -> None:
    assert error(post(shop, body), 400) == ("validation-error", says)


def test_a_body_that_is_too_large_is_refused(shop: Shop) -> None:
    assert error(post(shop, b" " * 262_145), 413)[0] == "content-too-large"


def test_only_post_is_allowed(shop: Shop) -> None:
    answer = shop.server.client.get("/graphql", headers={"Authentication-Token": shop.world.token})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("query", "says", "column"),
    [
        ("sesame", "The query is neither GraphQL nor the name of a stored operation", 1),
        ('{ customer(customerId: "', "The query is neither GraphQL nor the name of a stored operation", 25),
        ('{ customer(customerId: "1") { sesame } }', "The type has no such field", 31),
        ('{ customer(customerId: "1", sesame: 1) { id } }', "The field has no such argument", 29),
        ("{ customer { id } }", "A required argument is missing", 3),
        (
            '{ customer(customerId: "1") }',
            "An object needs a selection of its fields, and any other value must have none",
            3,
        ),
        ("{ customer(customerId: 1.5) { id } }", "The value has the wrong type", 24),
        ("{ customer(customerId: $sesame) { id } }", "The operation does not declare this variable", 24),
        ('query ($sesame: ID) { customer(customerId: "1") { id } }', "The operation does not use this variable", 8),
        ("query ($i: ID!) { customer(customerId: $i) { id } }", "The variable is missing or has the wrong type", 8),
        ('subscription { customer(customerId: "1") { id } }', "The query does not match the schema", 1),
        ("{ __schema { __typename } }", "Introspection is off", 3),
        ('{ __type(name: "sesame") { name } }', "Introspection is off", 3),
        (
            '{ customer(customerId: "1") { ...a } } fragment a on Customer { ...a }',
            "The query does not match the schema",
            65,
        ),
    ],
)
def test_an_invalid_query_is_reported_with_the_reason_and_position(
    shop: Shop, query: str, says: str, column: int
) -> None:
    answer = ask(shop, query)
    assert error(answer) == ("validation-error", says)
    assert answer.json()["errors"][0]["locations"][0] == {"line": 1, "column": column}
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("query", "variables", "says"),
    [
        (READ, {}, "Variable 'customerId' is missing or has the wrong type"),
        (READ, {"customerId": [SECRET]}, "Variable 'customerId' is missing or has the wrong type"),
        (READ, {"customerId": "1", "customerType": {SECRET: 1}}, "Variable 'customerType' is missing or has the wrong type"),  # noqa: E501
        (RENAME, {"customerId": "1", "firstName": SECRET}, "Variable 'lastName' is missing or has the wrong type"),
        (RENAME, {"customerId": "1", "firstName": f"{SECRET}\n", "lastName": ""}, "Field 'firstName' must not contain control characters."),  # noqa: E501
        (RENAME, {"customerId": "1", "firstName": "", "lastName": SECRET * 34}, "Field 'lastName' must have at most 200 characters."),  # noqa: E501
    ],
    ids=["absent", "list", "object", "one absent", "line break", "long"],
)  # fmt: skip
def test_invalid_variables_are_named_and_not_repeated(
    shop: Shop, query: str, variables: dict[str, Any], says: str
) -> None:
    answer = ask(shop, query, **variables)
    assert error(answer) == ("validation-error", says)
    assert SECRET not in answer.text


def test_an_erased_customer_cannot_be_renamed(shop: Shop, carol: int) -> None:
    shop.post({}, path=f"/api/customers/{carol}/erase")
    answer = ask(shop, RENAME, customerId=str(carol), firstName="Carol", lastName="Jones")
    assert error(answer) == ("conflict", "The customer was erased")
    assert data(ask(shop, READ, customerId=str(carol)))["customer"]["editable"] is False


@pytest.mark.parametrize(
    "query",
    [
        "{ %s }",
        "{ ... { %s } }",
        '{ ...a ...b } fragment a on Query { %s } fragment b on Query { last: customer(customerId: "0") { id } }',
        "mutation { %s }",
    ],
    ids=["fields", "inline", "fragments", "mutation"],
)
def test_one_request_reads_or_changes_one_customer(shop: Shop, carol: int, query: str) -> None:
    field = 'a%d: customer(customerId: "%d") { id }'
    if query.startswith("mutation"):
        field = 'a%d: updateCustomerProfileName(customerId: "%d", firstName: "x", lastName: "y") { id }'
    answer = ask(shop, query % " ".join(field % (number, carol) for number in range(2)))
    says = "A request may read or change one customer; send one request for each"
    assert error(answer) == ("validation-error", says)
    assert "data" not in answer.json()
    assert profile(shop, carol)["firstName"] is None


def test_the_same_customer_named_twice_counts_once(shop: Shop, carol: int) -> None:
    one = f'customer(customerId: "{carol}")'
    assert data(ask(shop, f"{{ {one} {{ id }} {one} {{ type }} }}")) == {
        "customer": {"id": str(carol), "type": "prospect"}
    }


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (
            "{ " + " ".join(f"a{n}: __typename" for n in range(300)) + " }",
            f"The query must have at most {TOKENS_MAX} tokens",
        ),
        ("{" * 250, f"The query must not be nested deeper than {DEPTH_MAX}"),
        ("{ ...{" * 100, f"The query must not be nested deeper than {DEPTH_MAX}"),
        ("{ customer(customerId: " + "[" * 200, f"The query must not be nested deeper than {DEPTH_MAX}"),
        ("query ($a: " + "[" * 200, f"The query must not be nested deeper than {DEPTH_MAX}"),
        ("{ customer(customerId: " + "{a:" * 90, f"The query must not be nested deeper than {DEPTH_MAX}"),
    ],
    ids=["aliases", "braces", "inline fragments", "lists", "types", "objects"],
)
def test_a_query_over_the_limits_is_refused(shop: Shop, query: str, says: str) -> None:
    assert error(ask(shop, query)) == ("validation-error", says)


def test_nested_variables_are_refused_before_graphql_runs(shop: Shop) -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    assert error(ask(shop, READ, customerId=deep), 400)[0] == "validation-error"


def test_submitted_values_are_not_logged(shop: Shop, carol: int) -> None:
    ask(shop, RENAME, customerId=str(carol), firstName="Zebulon", lastName="Quux")
    ask(shop, '{ customer(customerId: "Zebulon") { id } }')
    assert "Zebulon" not in shop.server.log


def test_the_documented_schema_matches_the_server() -> None:
    page = (ROOT / "docs" / "graphql.md").read_text()
    assert f"```graphql\n{SDL}```" in page
    for number in (QUERY_MAX_CHARACTERS, TOKENS_MAX, DEPTH_MAX):
        assert f"{number:,}" in page


def test_control_without_the_limit_a_request_reads_as_many_customers_as_it_has_aliases() -> None:
    read: list[str] = []

    def customer(_: object, **given: Any) -> None:
        read.append(given["customerId"])

    query = "{ " + " ".join(f'a{number}: customer(customerId: "{number}") {{ id }}' for number in range(30)) + " }"
    document = parse(query)
    assert not validate(SCHEMA, document)
    execute_sync(SCHEMA, document, {"customer": customer})
    assert len(read) == 30
