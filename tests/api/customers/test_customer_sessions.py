"""A visitor's session: how it starts, what it sees and when it ends."""

import json
import uuid
from collections.abc import Callable

import pytest

from harness.shop import Shop, faults_of
from harness.visitors import ORIGIN, Site, acmes_site, globexs_site
from shopbell.customers import visitors


@pytest.fixture
def site(engine: str, shops: Callable[..., Shop], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Acme's website, on a server that keeps files."""
    folder = tmp_path_factory.getbasetemp() / f"visitors-{engine}"
    return acmes_site(shops(engine, run_worker="false", attachments_url=f"file://{folder}"))


def _reply(site: Site, thread_id: str, text: str, **fields: object) -> None:
    body = {"customerThreadId": thread_id, "text": text, **fields}
    assert site.shop.post(body, path="/api/send-message-to-customer-thread").status_code == 200


def test_a_visitor_reads_a_reply_with_the_first_name_of_the_employee(site: Site) -> None:
    employee = site.shop.post({"name": "Alice Archer"}, path="/api/employees").json()["id"]
    dave = site.visitor()
    assert dave.begun["customerThreadId"] is None
    assert dave.get("messages").json() == {"messages": [], "hasMore": False}
    said = dave.say("Is it in stock?")
    assert said["sequence"] == 1
    _reply(site, said["customerThreadId"], "Yes.", employeeUserId=employee)
    first, second = dave.get("messages").json()["messages"]
    assert (first["text"], first["fromCustomer"], first["delivery"]) == ("Is it in stock?", True, "sent")
    assert (second["text"], second["fromCustomer"], second["employeeName"]) == ("Yes.", False, "Alice")
    assert "Archer" not in dave.get("messages").text
    assert dave.texts(afterSequence=1) == ["Yes."]
    page = dave.get("messages", limit=1).json()
    assert (len(page["messages"]), page["hasMore"]) == (1, True)


def test_employees_see_a_visitors_message_from_a_new_customer(site: Site) -> None:
    dave = site.visitor(locale="fr_ca")
    thread_id = dave.say("Bonjour")["customerThreadId"]
    thread = site.shop.thread(thread_id)
    assert (thread["channel"], thread["status"], str(thread["business_id"])) == ("WEB", "waiting", site.business_id)
    customer = site.shop.database.rows("SELECT * FROM customers WHERE id = :id", id=thread["customer_id"])[0]
    assert customer["locale"] == "fr-CA"
    assert site.shop.identities(thread["customer_id"]) == {"email": [], "phone": []}


def test_visitors_never_see_internal_notes(site: Site) -> None:
    dave = site.visitor()
    thread_id = dave.say()["customerThreadId"]
    _reply(site, thread_id, "a canary among notes", internal=True)
    _reply(site, thread_id, "Hello.")
    assert dave.texts() == ["Is it in stock?", "Hello."]
    transcript = dave.get("transcript")
    assert transcript.headers["content-type"].startswith("text/plain")
    assert transcript.headers["content-disposition"] == "attachment; filename*=UTF-8''Acme%20Boston.txt"
    assert "Hello." in transcript.text
    assert "canary" not in transcript.text


def test_a_message_resent_by_a_browser_is_stored_once(site: Site) -> None:
    dave = site.visitor()
    message_id = str(uuid.uuid4())
    answers = [dave.post("messages", text="Once.", clientMessageId=message_id).json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert dave.texts() == ["Once."]


def test_a_message_needs_a_text_or_file_and_a_client_id(site: Site) -> None:
    dave = site.visitor()
    assert faults_of(dave.post("messages", text=" \n")) == {
        ("body", "#/text", "blank"),
        ("body", "#/clientMessageId", "required"),
    }
    assert faults_of(dave.post("messages", clientMessageId=str(uuid.uuid4()))) == {("body", "#/text", "required")}
    assert faults_of(dave.post("messages", text="x", clientMessageId="1")) == {
        ("body", "#/clientMessageId", "invalid_format")
    }
    assert faults_of(dave.post("messages", text=None)) == {
        ("body", "#/text", "required"),
        ("body", "#/clientMessageId", "required"),
    }


@pytest.mark.parametrize(
    ("header", "field", "said"),
    [
        ("https://evil.example", ORIGIN, "Header 'origin'"),
        ("https://shop.example.evil.example", None, "Header 'origin'"),
        ("http://shop.example", None, "Header 'origin'"),
        ("null", ORIGIN, "Header 'origin'"),
        ("", ORIGIN, "Header 'origin' is missing"),
        (None, "https://evil.example", "Field 'origin'"),
        (None, "https://shop.example/", "Field 'origin'"),
        (None, "null", "Field 'origin'"),
        (None, None, "Field 'origin' is missing"),
    ],
)
def test_a_website_not_listed_in_the_key_is_refused_with_the_reason(
    site: Site, header: str | None, field: str | None, said: str
) -> None:
    before = site.shop.count("customer_sessions"), site.shop.count("customers")
    answer = site.begin({} if header is None else {"origin": header}, origin=field)
    assert answer.status_code == 403
    assert answer.json()["type"] == "/problems/forbidden"
    assert answer.json()["developerMessage"].startswith(said)
    assert "evil" not in answer.text
    assert (site.shop.count("customer_sessions"), site.shop.count("customers")) == before


def test_another_host_name_of_the_server_is_not_same_origin_when_the_public_url_is_set(
    engine: str, shops: Callable[..., Shop]
) -> None:
    rebound = {"host": "rebound.example", "origin": "http://rebound.example"}
    unset = acmes_site(shops(engine, run_worker="false"))
    assert unset.begin(rebound).status_code == 200  # the control: nothing else says what this server is called
    public = acmes_site(shops(engine, run_worker="false", public_url="https://chat.example.org/"))
    answer = public.begin(rebound)
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")
    assert public.begin({"origin": public.shop.server.url}).status_code == 403
    assert public.begin({"origin": "https://chat.example.org"}).status_code == 200


def test_the_website_can_call_the_api_without_the_panel(site: Site) -> None:
    assert site.begin({"origin": ORIGIN}, origin=None).status_code == 200


def test_a_key_with_a_wildcard_domain_is_valid_only_below_it(site: Site) -> None:
    key = site.new_key("https://*.shop.example")["key"]
    assert site.begin(key=key, origin="https://paris.shop.example").status_code == 200
    assert site.begin(key=key, origin="https://a.paris.shop.example").status_code == 200
    for wrong in ("https://shop.example", "https://evilshop.example", "https://shop.example.evil.example"):
        assert site.begin(key=key, origin=wrong).status_code == 403, wrong


def test_an_unknown_or_revoked_key_starts_no_session(site: Site) -> None:
    made = site.new_key()
    dave = site.visitor(key=made["key"])
    revoked = site.shop.post({}, path=f"/api/publishable-keys/{made['id']}/revoke")
    assert revoked.json()["revokedAt"] is not None
    for key in (made["key"], "pk_live_" + "0" * 24, "", "sb_live_" + "0" * 49):
        answer = site.begin(key=key)
        assert (answer.status_code, answer.json()["developerMessage"]) == (
            403,
            "Field 'key' is not a valid publishable key",
        )
    dave.say("I go on.")


def test_a_key_is_valid_only_for_its_own_active_businesses(site: Site) -> None:
    world = site.shop.world
    for wrong in (world.london, world.closed, "1"):
        answer = site.begin(businessId=wrong)
        assert (answer.status_code, answer.json()["developerMessage"]) == (
            403,
            "Business does not belong to this organization",
        )
    for_boston = site.new_key(businessId=world.boston)["key"]
    assert site.begin(key=for_boston, businessId=None).status_code == 200
    assert site.begin(key=for_boston, businessId=world.paris).status_code == 403
    assert faults_of(site.begin(businessId=None)) == {("body", "#/businessId", "required")}


def test_a_modified_session_token_is_refused_like_an_unknown_one(site: Site) -> None:
    dave = site.visitor()
    dave.say()
    token = dave.token
    told = set()
    for wrong in (
        token[:-1],
        token[:10] + ("a" if token[10] != "a" else "b") + token[11:],
        "sbs_" + "0" * 49,
        "sbs_",
        "x",
    ):
        dave.token = wrong
        answer = dave.get("messages")
        told.add((answer.status_code, answer.json()["developerMessage"], answer.headers["www-authenticate"]))
    dave.token = site.token
    told.add((dave.get("messages").status_code, *next(iter(told))[1:]))
    assert [status for status, *_ in told] == [401]
    assert token not in site.shop.server.log


def test_an_ended_session_is_refused_within_a_second(site: Site) -> None:
    dave = site.visitor()
    dave.say("stays")
    assert dave.post("sign-out").json() == {"result": "ok"}
    dave.wait_until_ended()
    assert dave.post("messages", text="x", clientMessageId=str(uuid.uuid4())).status_code == 401
    assert dave.get("transcript").status_code == 401


def test_an_expired_session_is_refused(site: Site) -> None:
    dave = site.visitor()
    thread_id = int(dave.say()["customerThreadId"])
    changed = site.shop.database.change(
        "UPDATE customer_sessions SET expires_at_ms = 1 WHERE thread_id = :id", id=thread_id
    )
    assert changed == 1
    dave.wait_until_ended()


def test_an_erased_customers_session_ends(site: Site) -> None:
    dave = site.visitor()
    customer_id = site.shop.customer_of(dave.say()["customerThreadId"])
    assert site.shop.post({}, path=f"/api/customers/{customer_id}/erase").status_code == 200
    dave.wait_until_ended()


def test_a_visitors_claims_do_not_match_a_known_customer(site: Site) -> None:
    carol = site.shop.somebody()
    carols = site.shop.send(user={"email": carol})
    stranger = site.visitor()
    thread_id = stranger.say("I am Carol, what did I order?")["customerThreadId"]
    assert stranger.post("identify", email=carol, phoneNumber="617 555 0123", firstName="Carol").json() == {
        "result": "ok"
    }
    assert thread_id != carols
    customer_id = site.shop.customer_of(thread_id)
    assert customer_id != site.shop.customer_of(carols)
    (row,) = site.shop.database.rows("SELECT * FROM customers WHERE id = :id", id=customer_id)
    assert (row["unverified_email"], row["unverified_phone"], row["first_name"]) == (carol, "+16175550123", "Carol")
    assert site.shop.identities(customer_id) == {"email": [], "phone": []}
    again = site.shop.send(user={"email": carol})
    assert again == carols
    assert stranger.texts() == ["I am Carol, what did I order?"]


def test_a_visitors_claims_must_be_valid(site: Site) -> None:
    for impossible in ("12", "call me", "+1", "(617) 555"):
        answer = site.visitor().post("identify", phoneNumber=impossible)
        assert faults_of(answer) == {("body", "#/phoneNumber", "invalid_phone_number")}
    answer = site.visitor().post("identify", email="no address", phoneNumber="12", firstName=" ")
    assert faults_of(answer) == {
        ("body", "#/email", "invalid_email"),
        ("body", "#/phoneNumber", "invalid_phone_number"),
        ("body", "#/firstName", "blank"),
    }


def test_a_blocked_visitor_is_not_told_and_their_messages_are_hidden(site: Site) -> None:
    dave = site.visitor()
    thread_id = dave.say("first")["customerThreadId"]
    customer_id = site.shop.customer_of(thread_id)
    assert site.shop.post({}, path=f"/api/customers/{customer_id}/block").status_code == 200
    said = dave.say("a canary of a blocked one")
    assert (said["sequence"], said["customerThreadId"]) == (2, thread_id)
    assert dave.texts() == ["first"]
    assert [message["body"] for message in site.shop.messages(thread_id)] == ["first"]


def test_a_blocked_visitors_resent_message_gets_the_same_response_and_is_stored_once(site: Site) -> None:
    dave = site.visitor()
    customer_id = site.shop.customer_of(dave.say("first")["customerThreadId"])

    def send(client_message_id: str) -> object:
        answer = dave.post("messages", text="the same words", clientMessageId=client_message_id)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert site.shop.post({}, path=f"/api/customers/{customer_id}/block").status_code == 200
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert send(one) == send(one)
    assert send(other) != send(one)
    assert site.shop.post({}, path=f"/api/customers/{customer_id}/unblock").status_code == 200
    assert send(one) == send(one)
    kept = site.shop.database.rows("SELECT * FROM blocked_messages WHERE customer_id = :id", id=customer_id)
    assert sorted(row["external_id"] for row in kept) == sorted((one, other))
    assert dave.texts() == ["first"]


def test_a_read_position_never_moves_back(site: Site) -> None:
    dave = site.visitor()
    thread_id = dave.say("one")["customerThreadId"]
    dave.say("two")

    def mark() -> object:
        return site.shop.database.value(
            "SELECT customer_sequence FROM thread_reads WHERE thread_id = :id", id=int(thread_id)
        )

    assert dave.post("read", sequence=1).status_code == 200
    assert mark() == 1
    dave.post("read", sequence=99)
    assert mark() == 2
    dave.post("read", sequence=1)
    assert mark() == 2
    assert dave.post("typing").json() == {"result": "ok"}


def test_employees_see_typing_and_the_read_position_of_a_visitor_at_once(site: Site) -> None:
    dave = site.visitor()
    thread_id = dave.say("one")["customerThreadId"]
    heard: dict[str, dict[str, object]] = {}
    with site.shop.server.client.stream("GET", "/api/stream", headers={"token": site.token}) as stream:
        name = ""
        for line in stream.iter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            if line == "event: ready":
                dave.post("typing")
                dave.post("read", sequence=1)
            if field == "data" and name in ("typing", "read") and json.loads(value)["customerThreadId"] == thread_id:
                heard[name] = json.loads(value)
            if len(heard) == 2:
                break
    assert heard["typing"]["from"] == "customer"
    assert (heard["read"]["by"], heard["read"]["sequence"]) == ("customer", 1)


def test_a_visitors_file_reaches_employees_and_no_other_visitor(site: Site) -> None:
    dave, stranger = site.visitor(), site.visitor()
    kept = dave.upload(b"a receipt").json()
    for foreign in (kept["attachmentId"], kept["attachmentId"].partition("-")[0]):
        answer = stranger.post("messages", attachmentId=foreign, clientMessageId=str(uuid.uuid4()))
        assert answer.status_code == 404, foreign
    sent = dave.post("messages", attachmentId=kept["attachmentId"], clientMessageId=str(uuid.uuid4()))
    assert sent.status_code == 200, sent.text
    (message,) = dave.get("messages").json()["messages"]
    assert message["attachment"]["name"] == "a.txt"
    assert site.shop.server.client.get(message["attachment"]["url"]).content == b"a receipt"


def test_a_visitor_continues_their_conversation_after_a_transfer(site: Site) -> None:
    dave = site.visitor()
    thread_id = dave.say("to Boston")["customerThreadId"]
    moved = {"customerThreadId": thread_id, "businessId": site.shop.world.paris}
    assert site.shop.post(moved, path="/api/transfer-customer-thread").status_code == 200
    assert dave.say("to whom?")["customerThreadId"] == thread_id
    assert dave.texts() == ["to Boston", "to whom?"]


def test_a_session_is_invalid_for_another_organization(site: Site) -> None:
    globex = globexs_site(site.shop)
    bob = globex.visitor()
    assert bob.say("to Globex")["sequence"] == 1
    assert site.begin(key=globex.key).status_code == 403
    assert globex.begin(key=site.key).status_code == 403


def test_only_the_customer_can_answer_a_survey_and_only_once(site: Site) -> None:
    dave, stranger = site.visitor(), site.visitor()
    thread_id = dave.say()["customerThreadId"]
    stranger.say()
    survey_id = 2**52 + int(thread_id)  # as if a worker had asked
    asked = "INSERT INTO surveys (organization_id, id, thread_id, customer_id, kind, asked_at_ms) VALUES "
    site.shop.database.change(
        f"{asked} (:organization, :id, :thread, :customer, 'nps', 1)",
        organization=int(site.organization_id),
        id=survey_id,
        thread=int(thread_id),
        customer=site.shop.customer_of(thread_id),
    )
    body: dict[str, object] = {"surveyId": str(survey_id), "score": 9, "comment": " Quick! "}
    assert stranger.post("survey", **body).status_code == 404
    assert faults_of(dave.post("survey", **body | {"score": 11})) == {("body", "#/score", "invalid_value")}
    assert dave.post("survey", **body).json() == {"result": "ok"}
    assert dave.post("survey", **body).status_code == 200
    assert dave.post("survey", **body | {"score": 3}).status_code == 409
    (row,) = site.shop.database.rows("SELECT score, comment FROM surveys WHERE id = :id", id=survey_id)
    assert (row["score"], row["comment"]) == (9, "Quick!")


def test_visitors_without_messages_are_deleted_with_their_session(site: Site) -> None:
    def customers() -> set[int]:
        return {row["id"] for row in site.shop.database.rows("SELECT id FROM customers")}

    before = customers()
    site.visitor()
    (silent,) = customers() - before
    named = site.visitor()
    named.post("identify", firstName="Carol")
    spoke = site.visitor()
    kept = site.shop.customer_of(spoke.say()["customerThreadId"])
    assert len(customers() - before) == 3
    with site.shop.database.writing() as tx:
        assert not visitors.delete_inactive(tx, 1)
    assert silent in customers()
    site.shop.database.change("UPDATE customer_sessions SET expires_at_ms = 1")
    with site.shop.database.writing() as tx:
        while visitors.delete_inactive(tx, 2):
            pass
    assert silent not in customers()
    assert kept in customers()
    assert len(customers() - before) == 2
    assert site.shop.count("customer_sessions") == 0
