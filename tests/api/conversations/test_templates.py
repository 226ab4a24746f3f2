"""Templates can be sent when the WhatsApp window is closed."""

import re
from typing import Any

import httpx2
import pytest

from harness.shop import Shop, faults_of

SEND = "/api/send-message-to-customer-thread"
LIST = "/api/get-whatsapp-templates"


def _get(shop: Shop, path: str, token: str = "", **query: Any) -> Any:
    answer = shop.server.client.get(path, params=query, headers={"token": token or shop.world.token})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _create(shop: Shop, token: str = "", **fields: Any) -> dict[str, Any]:
    body = {"title": "Ready", "text": "Your order is ready."} | fields
    answer = shop.post(body, path="/api/templates", token=token)
    assert answer.status_code == 200, answer.text
    template: dict[str, Any] = answer.json()
    return template


def _send(shop: Shop, thread_id: str, **fields: Any) -> httpx2.Response:
    return shop.post({"customerThreadId": thread_id, **fields}, path=SEND)


def _close_window(shop: Shop, thread_id: str) -> None:
    shop.move_to_whatsapp(thread_id, age_ms=24 * 60 * 60 * 1_000)


def test_a_template_is_created_with_its_own_content_id(shop: Shop) -> None:
    made, other = _create(shop), _create(shop)
    assert re.fullmatch("HX[0-9a-f]{32}", made["contentSid"])
    assert made["contentSid"] != other["contentSid"]
    assert (made["title"], made["text"]) == ("Ready", "Your order is ready.")
    given = f"HX{shop.somebody()[:32]}"
    assert _create(shop, contentSid=given)["contentSid"] == given


def test_a_content_id_is_unique_in_an_organization(shop: Shop) -> None:
    sid = _create(shop)["contentSid"]
    taken = shop.post({"title": "Other", "text": "Other", "contentSid": sid}, path="/api/templates")
    assert taken.status_code == 409
    assert "contentSid" in taken.json()["developerMessage"]
    _create(shop, token=shop.world.globex_token, contentSid=sid)


def test_an_invalid_template_is_refused_with_all_errors(shop: Shop) -> None:
    wrong = shop.post({"title": "", "text": " ", "contentSid": "H X"}, path="/api/templates")
    assert faults_of(wrong) == {
        ("body", "#/title", "blank"),
        ("body", "#/text", "blank"),
        ("body", "#/contentSid", "invalid_format"),
    }
    wrong = shop.post({"contentSid": "H" * 65}, path="/api/templates")
    assert faults_of(wrong) == {
        ("body", "#/title", "required"),
        ("body", "#/text", "required"),
        ("body", "#/contentSid", "too_long"),
    }


def test_the_templates_of_a_conversation_match_the_contract(shop: Shop) -> None:
    made, thread_id = _create(shop, text="Ready 🛎\nCome!"), shop.send()
    of_globex = _create(shop, token=shop.world.globex_token)
    answer = _get(shop, LIST, customerThreadId=thread_id)
    assert set(answer) == {"templates"}
    assert {"title": "Ready", "text": "Ready 🛎\nCome!", "contentSid": made["contentSid"]} in answer["templates"]
    assert of_globex["contentSid"] not in [each["contentSid"] for each in answer["templates"]]


def test_templates_are_listed_in_pages_and_deleted(shop: Shop) -> None:
    made = [_create(shop) for _ in range(3)]
    listed, cursor = [], {}
    while True:
        page = _get(shop, "/api/templates", limit=2, **cursor)
        assert len(page["templates"]) <= 2
        listed += page["templates"]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [each for each in listed if each in made] == made
    thread_id = shop.send()
    assert _send(shop, thread_id, contentSid=made[1]["contentSid"]).status_code == 200
    path = f"/api/templates/{made[1]['id']}/delete"
    assert shop.post(b"", path=path).json() == {"result": "ok"}
    assert shop.post(b"", path=path).status_code == 404
    listed = _get(shop, "/api/templates", limit=200)["templates"]
    assert [each for each in listed if each in made] == [made[0], made[2]]
    assert _send(shop, thread_id, contentSid=made[1]["contentSid"]).status_code == 404
    assert shop.messages(thread_id)[-1]["body"] == made[1]["text"]
    audited = "SELECT action FROM audit_entries WHERE subject = :subject ORDER BY id"
    actions = [row["action"] for row in shop.database.rows(audited, subject=f"template {made[1]['id']}")]
    assert actions == ["template.create", "template.delete"]


def test_a_template_is_sent_when_the_window_is_closed(shop: Shop) -> None:
    sid, thread_id = _create(shop)["contentSid"], shop.send()
    _close_window(shop, thread_id)
    assert _send(shop, thread_id, text="Hello").status_code == 409
    answer = _send(shop, thread_id, contentSid=sid)
    assert answer.status_code == 200
    message = _get(shop, f"/api/threads/{thread_id}/messages")["messages"][-1]
    assert message["id"] == answer.json()["messageId"]
    assert (message["text"], message["contentSid"]) == ("Your order is ready.", sid)
    assert (message["fromCustomer"], message["internal"]) == (False, False)


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_template_never_reopens_a_resolved_conversation(shop: Shop, is_closed: bool) -> None:
    sid, thread_id = _create(shop)["contentSid"], shop.send()
    if is_closed:
        _close_window(shop, thread_id)
    shop.post({"customerThreadId": thread_id, "status": "resolved"}, path="/api/update-thread-status")
    assert _send(shop, thread_id, contentSid=sid).status_code == 200
    assert shop.thread(thread_id)["status"] == "resolved"


def test_another_organizations_template_is_not_found(shop: Shop) -> None:
    of_globex, thread_id = _create(shop, token=shop.world.globex_token), shop.send()
    answers = [
        *(_send(shop, thread_id, contentSid=sid) for sid in (of_globex["contentSid"], "HX1")),
        *(shop.post(b"", path=f"/api/templates/{id_}/delete") for id_ in (of_globex["id"], "1", "hello")),
    ]
    assert {(answer.status_code, answer.json()["developerMessage"]) for answer in answers} == {
        (404, "Resource not found")
    }
    assert of_globex in _get(shop, "/api/templates", token=shop.world.globex_token)["templates"]


def test_the_command_line_creates_lists_and_deletes_templates(shop: Shop) -> None:
    installation = shop.server.installation
    create = ("template", "create", "--organization", shop.world.acme)
    made = installation.cli(*create, "Ready", "Your order is ready.")
    assert made["contentSid"] in [
        each["contentSid"] for each in _get(shop, LIST, customerThreadId=shop.send())["templates"]
    ]
    assert made in installation.cli("template", "list", "--organization", shop.world.acme)
    assert made not in installation.cli("template", "list", "--organization", shop.world.globex)
    assert installation.cli("template", "delete", made["id"]) == made
    assert made not in installation.cli("template", "list")
    for arguments, said in (
        ((*create, " ", "", "--content-sid", "H X"), ["the title", "the text", "the content sid"]),
        (("template", "create", "--organization", "1", "a", "b"), ["there is no organization 1"]),
        (("template", "delete", made["id"]), [f"there is no template {made['id']}"]),
    ):
        done = installation.run(*arguments)
        assert done.returncode == 1
        for text in said:
            assert text in done.stderr
