"""Secrets and personal data are in no log line, metric or error."""

import json

import pytest

from harness import raw
from harness.installation import Installation, Server
from harness.record import somebody_writing
from harness.shop import WIDGET
from harness.world import World

TEXT = "canarytext"
EMAIL = "canarymail@example.com"
NUMBER = "+16175550199"
KEY = "canarykey"
MALFORMED_TOKEN = "sb_live_canarytoken"
ELSEWHERE = "canaryelsewhere"
MESSAGE = {"businessId": 0, "message": f"{TEXT} hello", "user": {"email": EMAIL, "phoneNumber": NUMBER}}


class Talk:
    """Requests full of secrets, and all their answers."""

    def __init__(self, server: Server, people: World) -> None:
        self._server = server
        self._people = people
        self.answers: list[raw.RawAnswer] = []
        self.secrets = [TEXT, EMAIL, "canarymail", NUMBER, NUMBER[2:], KEY, MALFORMED_TOKEN, ELSEWHERE]
        self.secrets += [people.token, people.second_token, people.reading_token, people.revoked_token]

    def say(
        self,
        expected: int,
        *,
        token: str = "",
        path: str = WIDGET,
        method: str = "POST",
        key: str = KEY,
        **changes: object,
    ) -> str:
        """Send a message; gives the id of the request."""
        body = json.dumps({**MESSAGE, "businessId": self._people.boston, **changes}).encode()
        headers = [
            ("token", token or self._people.token),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key),
        ]
        return self.say_bytes(expected, raw.post(path, body, headers).replace(b"POST", method.encode(), 1))

    def say_bytes(self, expected: int, request: bytes) -> str:
        """Send bytes; gives the id of the request."""
        answer = raw.exchange(self._server.port, request, timeout_s=30)
        assert answer.status == expected, answer.body
        self.answers.append(answer)
        request_id = answer.header("x-request-id")
        assert request_id is not None
        return request_id

    def check(self) -> None:
        """None of the secrets is anywhere to be read."""
        places = {"the log": self._server.log, "the metrics": self._server.client.get("/metrics").text}
        for number, answer in enumerate(self.answers):
            places[f"answer {number} ({answer.status})"] = f"{answer.headers} {answer.body.decode()}"
        for place, content in places.items():
            found = [secret for secret in self.secrets if secret.lower() in content.lower()]
            assert not found, f"{found} in {place}: {content[:2_000]}"


def _lines(server: Server) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.splitlines()]


def _assert_logged(server: Server, request_ids: list[str]) -> None:
    logged = {line.get("request_id") for line in _lines(server)}
    assert set(request_ids) <= logged, f"{len(set(request_ids) - logged)} requests are not in the log"


def test_every_kind_of_response_keeps_secrets(installation: Installation, people: World) -> None:
    with installation.serving(log_format="json", log_level="debug", body_limit_bytes=2_048) as server:
        talk = Talk(server, people)
        ids = [
            talk.say(200),
            talk.say(200),  # the same again: replayed
            talk.say(422, message=f"{TEXT} changed"),
            talk.say(
                400, message="", user={"email": f"{EMAIL} ", "phoneNumber": f"{NUMBER}x", "locale": ELSEWHERE * 4}
            ),
            talk.say(400, businessId=ELSEWHERE),
            talk.say(401, token=MALFORMED_TOKEN),
            talk.say(401, token=people.revoked_token),
            talk.say(403, businessId=people.london),
            talk.say(403, token=people.reading_token),
            talk.say(404, path=f"/{ELSEWHERE}/{TEXT}"),
            talk.say(404, path=f"/api/{ELSEWHERE}?token={people.token}&message={TEXT}"),
            talk.say(200, path=f"{WIDGET}?email={EMAIL}"),
            talk.say(405, method="DELETE"),
            talk.say(405, path=f"/healthz?{ELSEWHERE}"),
            talk.say(413, message=TEXT * 500),
        ]
        headers = [("token", people.token), ("Content-Type", "application/json")]
        broken = f'{{"message": "{TEXT}", "user": {{"email": "{EMAIL}"'.encode()
        ids.append(talk.say_bytes(400, raw.post(WIDGET, broken, headers)))
        ids.append(talk.say_bytes(400, raw.post(WIDGET, b'{"message": "' + TEXT.encode() + b'\xff"}', headers)))
        talk.say_bytes(431, raw.post(WIDGET, b"", [("x-secret", ELSEWHERE * 2_000)]))
        talk.say_bytes(400, f"POST {WIDGET} HTTP/1.1\r\ntoken: {people.token}\r\n{ELSEWHERE}\r\n\r\n".encode())
        talk.check()
        assert server.terminate() == 0
        _assert_logged(server, ids)
        server.start()
        talk.check()


@pytest.fixture
def refusing_texts(engine: str, installation: Installation) -> Installation:
    """A database that refuses some messages, and says so with all that is in them."""
    if engine == "postgresql":
        sql = f"ALTER TABLE messages ADD CONSTRAINT no_canary CHECK (body NOT LIKE '{TEXT}%') NOT VALID"
    else:
        sql = (
            "CREATE TRIGGER no_canary BEFORE INSERT ON messages WHEN NEW.body LIKE 'canary%' "
            "BEGIN SELECT RAISE(ABORT, 'refused: ' || NEW.body); END"
        )
    installation.database.change(sql)
    return installation


def test_a_bug_that_quotes_the_row_keeps_secrets(refusing_texts: Installation, people: World) -> None:
    with refusing_texts.serving(log_format="json", log_level="debug") as server:
        talk = Talk(server, people)
        request_id = talk.say(500)
        talk.say(200, message="a text that is welcome")
        talk.check()
        assert server.terminate() == 0
        bugs = [line for line in _lines(server) if line.get("event") == "bug"]
        assert [line["request_id"] for line in bugs] == [request_id]
        assert bugs[0]["level"] == "error"
        assert bugs[0]["at"], "the log says where it happened"
        server.start()
        talk.check()


def test_missing_tables_keep_secrets(installation: Installation, people: World) -> None:
    database = installation.database
    with installation.serving(log_format="json", log_level="debug") as server:
        talk = Talk(server, people)
        talk.say(200)
        database.change("ALTER TABLE messages RENAME TO messages_elsewhere")
        ids = [talk.say(500, key="another")]
        database.change("ALTER TABLE api_tokens RENAME TO tokens_elsewhere")
        ids.append(talk.say(500, token=people.second_token))
        database.change("ALTER TABLE tokens_elsewhere RENAME TO api_tokens")
        database.change("ALTER TABLE messages_elsewhere RENAME TO messages")
        talk.say(200)
        assert server.terminate() == 0
        _assert_logged(server, ids)
        server.start()
        talk.check()


def test_an_outage_keeps_secrets(installation: Installation, people: World) -> None:
    with installation.serving(log_format="json", log_level="debug", write_timeout_s=1) as server:
        talk = Talk(server, people)
        talk.say(200)
        with somebody_writing(installation.database):
            ids = [talk.say(503, key=f"{KEY}{number}", token=people.second_token) for number in range(2)]
        assert server.terminate() == 0
        _assert_logged(server, ids)
        server.start()
        talk.check()
