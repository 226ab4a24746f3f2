"""The documented request, byte for byte, in a fresh installation."""

import json
import re
import shutil
import subprocess

from harness import raw
from harness.installation import Installation
from harness.shop import Shop

DOCUMENTED_HOST = "https://chat.example.org"
DOCUMENTED_TOKEN = "your-api-token"
DOCUMENTED_CURL = r"""curl -X POST "https://chat.example.org/api/widget/send-message-to-business" \
  -H "token: your-api-token" \
  -H "Content-Type: application/json" \
  -d '{ "businessId": "12345", "message": "Hello, I need help with my order.", "user": { "email": "customer@example.com", "locale": "en" } }'
"""  # noqa: E501 - the documentation's own line
DOCUMENTED_BODY = """{ "businessId": "12345", "message": "Hello, I need help with my order.", "user": { "email": "customer@example.com", "phoneNumber": "+15551234567", "locale": "en" } }"""  # noqa: E501


def test_the_documented_curl_command_gets_200_in_a_fresh_installation(fresh_installation: Installation) -> None:
    token = _first_business(fresh_installation)
    fresh_installation.settings = {}  # all as it is by default
    with fresh_installation.serving() as server:
        if shutil.which("curl"):
            command = DOCUMENTED_CURL.replace(DOCUMENTED_HOST, server.url).replace(DOCUMENTED_TOKEN, token)
            done = subprocess.run(
                ["sh", "-c", command.replace("curl ", "curl --silent --noproxy '*' --include ", 1)],
                capture_output=True,
                timeout=30,
                check=True,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            status = int(head.split(b" ")[1])
            assert b'\r\nratelimit-policy: "token";q=200;w=2\r\n' in head + b"\r\n"
        else:
            (data,) = re.findall(r"-d '(.*)'", DOCUMENTED_CURL)
            headers = [("token", token), ("Content-Type", "application/json"), ("Accept", "*/*")]
            answer = raw.exchange(server.port, raw.post("/api/widget/send-message-to-business", data.encode(), headers))
            status, body = answer.status, answer.body
            assert answer.header("ratelimit-policy") == '"token";q=200;w=2'
        assert status == 200
        _is_stored(fresh_installation, body, {"email": ["customer@example.com"], "phone": []})


def test_the_documented_body_with_a_phone_number_gets_200(own_shop: Shop) -> None:
    shop = own_shop
    assert shop.world.boston == "12345"
    answer = shop.post_raw(DOCUMENTED_BODY.encode(), ("token", shop.world.token), ("Content-Type", "application/json"))
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    _is_stored(shop.server.installation, answer.body, {"email": ["customer@example.com"], "phone": ["+15551234567"]})


def _first_business(installation: Installation) -> str:
    """Make the first organization and its first business, which have the documentation's ids; return a token."""
    organization = str(installation.cli("organization", "create", "Acme")["id"])
    assert organization == "12344"
    business = str(installation.cli("business", "create", "--organization", organization, "Acme Boston")["id"])
    assert business == "12345"
    token = installation.cli("token", "create", "--organization", organization)["token"]
    assert isinstance(token, str)
    return token


def _is_stored(installation: Installation, body: bytes, known_by: dict[str, list[str]]) -> None:
    answer = json.loads(body)
    assert answer.keys() == {"result", "customerThreadId"}
    assert answer["result"] == "ok"
    assert re.fullmatch("[1-9][0-9]*", answer["customerThreadId"])
    thread = installation.cli("threads", "show", answer["customerThreadId"])
    assert thread["id"] == answer["customerThreadId"]
    (message,) = thread["messages"]
    assert message["body"] == "Hello, I need help with my order."
    assert message["sequence"] == 1
    assert message["fromCustomer"] is True
    assert isinstance(message["timestamp"], int)
    assert message["timestamp"] > 1_700_000_000_000
    identities = installation.database.rows(
        "SELECT kind, value FROM customer_identities WHERE customer_id = :id", id=int(thread["customerId"])
    )
    assert {
        kind: [row["value"] for row in identities if row["kind"] == kind] for kind in ("email", "phone")
    } == known_by
