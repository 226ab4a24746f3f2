"""Tags, and the conversations that have them."""

import uuid
from typing import Any

from harness.employees import hire
from harness.inbox import actors_of, audited, call, employee, events_of, get, refusal
from harness.shop import Shop, faults_of
from shopbell.accounts.roles import Roles

TAGS, SET = "/api/tags", "/api/tags/set-on-thread"


def tag(shop: Shop, name: str = "", **fields: Any) -> str:
    """Create a tag; returns its id."""
    tag_id: str = call(shop, TAGS, name=name or uuid.uuid4().hex, **fields)["tagId"]
    return tag_id


def tags_of(shop: Shop, thread_id: str) -> list[str]:
    """The tags of a conversation."""
    query = "SELECT tag_id FROM thread_tags WHERE thread_id = :id ORDER BY tag_id"
    return [str(row["tag_id"]) for row in shop.database.rows(query, id=int(thread_id))]


def test_tags_are_created_changed_listed_and_deleted(shop: Shop) -> None:
    first = tag(shop, " Réparation ", color="#8F4F00")
    second = tag(shop)
    call(shop, f"{TAGS}/{second}/update", name="Überfällig", color="#0000FF")
    page = get(shop, TAGS, limit=200)
    found = {each["tagId"]: (each["name"], each["color"]) for each in page["tags"]}
    assert found[first] == ("Réparation", "#8f4f00")
    assert found[second] == ("Überfällig", "#0000ff")
    call(shop, f"{TAGS}/{second}/update", color="")
    call(shop, f"{TAGS}/{second}/update", color="")  # changes nothing
    assert call(shop, f"{TAGS}/{first}/delete") == {"result": "ok"}
    assert shop.post(b"", path=f"{TAGS}/{first}/delete").status_code == 404
    assert audited(shop, f"tag {first}") == ["tag.create", "tag.delete"]
    assert audited(shop, f"tag {second}") == ["tag.create", "tag.update", "tag.update"]
    call(shop, f"{TAGS}/{second}/delete")


def test_tags_are_listed_in_pages(shop: Shop) -> None:
    made = [tag(shop) for _ in range(3)]
    listed, cursor = [], {}
    while True:
        page = get(shop, TAGS, limit=2, **cursor)
        listed += [each["tagId"] for each in page["tags"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [each for each in listed if each in made] == made


def test_the_name_of_a_tag_is_unique_apart_from_case_and_accents(shop: Shop) -> None:
    first, second = tag(shop, "Crème"), tag(shop)
    taken = (409, "Another tag of the organization has that name.")
    assert refusal(shop.post({"name": "CREME"}, path=TAGS)) == taken
    assert refusal(shop.post({"name": "creme"}, path=f"{TAGS}/{second}/update")) == taken
    call(shop, f"{TAGS}/{first}/update", name="crème")
    of_globex = call(shop, TAGS, shop.world.globex_token, name="Crème")
    assert of_globex["tagId"] not in [each["tagId"] for each in get(shop, TAGS, limit=200)["tags"]]


def test_an_invalid_tag_is_refused_with_all_errors(shop: Shop) -> None:
    wrong = shop.post({"name": " ", "color": "brown"}, path=TAGS)
    assert faults_of(wrong) == {("body", "#/name", "blank"), ("body", "#/color", "invalid_format")}
    assert faults_of(shop.post({"name": "x" * 51}, path=TAGS)) == {("body", "#/name", "too_long")}
    assert shop.post({"name": "x" * 50}, path=TAGS).status_code == 200


def test_tags_are_set_on_a_conversation_with_one_event(shop: Shop) -> None:
    thread_id, alice = shop.send(), hire(shop)
    one, two, three = (tag(shop) for _ in range(3))
    first = {"customerThreadId": thread_id, "addTagIds": [two, one]}
    for _ in range(2):
        assert alice.browser.call(SET, first).json() == {"result": "ok"}
    assert tags_of(shop, thread_id) == [one, two]
    body = {"customerThreadId": thread_id, "addTagIds": [two, three], "removeTagIds": [one]}
    for _ in range(2):
        assert alice.browser.call(SET, body).json() == {"result": "ok"}
    assert tags_of(shop, thread_id) == [two, three]
    assert events_of(shop, thread_id, "tags") == [
        {"addedTagIds": [int(one), int(two)], "removedTagIds": []},
        {"addedTagIds": [int(three)], "removedTagIds": [int(one)]},
    ]
    assert actors_of(shop, thread_id, "tags") == [("employee", alice.id)] * 2
    feed = get(shop, "/api/events", types="tags", after=0, limit=200)["events"]
    (event, _) = [each["data"] for each in feed if each["customerThreadId"] == thread_id]
    assert event == {"addedTagIds": [one, two], "removedTagIds": []}


def test_setting_wrong_tags_changes_nothing(shop: Shop) -> None:
    thread_id, one = shop.send(), tag(shop)
    both = {"customerThreadId": thread_id, "addTagIds": [one], "removeTagIds": [one]}
    assert faults_of(shop.post(both, path=SET)) == {("body", "#/removeTagIds", "invalid_value")}
    unknown = {"customerThreadId": thread_id, "addTagIds": [one, "1"]}
    assert refusal(shop.post(unknown, path=SET)) == (404, "'addTagIds' is not a list of tags of this organization.")
    malformed = shop.post({"customerThreadId": thread_id, "addTagIds": ["x"], "removeTagIds": "x"}, path=SET)
    assert faults_of(malformed) == {("body", "#/addTagIds/0", "invalid_format"), ("body", "#/removeTagIds", "type")}
    assert tags_of(shop, thread_id) == []
    assert events_of(shop, thread_id, "tags") == []


def test_a_deleted_tag_leaves_its_conversations(shop: Shop) -> None:
    thread_id, gone, kept = shop.send(), tag(shop), tag(shop)
    call(shop, SET, customerThreadId=thread_id, addTagIds=[gone, kept])
    call(shop, f"{TAGS}/{gone}/delete")
    assert tags_of(shop, thread_id) == [kept]


def test_members_set_tags_and_managers_make_them(shop: Shop) -> None:
    member, manager = hire(shop).browser, hire(shop, roles=Roles("manager")).browser
    refused = member.call(TAGS, {"name": uuid.uuid4().hex})
    assert refused.status_code == 403
    assert refused.json()["developerMessage"] == "Permission 'inbox:manage' is missing"
    made = manager.call(TAGS, {"name": uuid.uuid4().hex}).json()["tagId"]
    thread_id = shop.send()
    assert member.call(SET, {"customerThreadId": thread_id, "addTagIds": [made]}).status_code == 200
    assert tags_of(shop, thread_id) == [made]


def test_a_conversation_that_moves_keeps_its_tags_and_drafts(shop: Shop) -> None:
    thread_id, other, alice, one = shop.send(), shop.send(businessId=shop.world.paris), employee(shop), tag(shop)
    call(shop, SET, customerThreadId=thread_id, addTagIds=[one])
    body = {"customerThreadId": thread_id, "mode": "note", "text": "a note", "employeeUserId": alice}
    draft_id = call(shop, "/api/inbox/drafts", **body)["draftId"]
    call(shop, "/api/transfer-customer-thread", customerThreadId=thread_id, businessId=shop.world.nowhere)
    call(shop, f"/api/customers/{shop.customer_of(other)}/merge", otherCustomerId=str(shop.customer_of(thread_id)))
    assert shop.customer_of(thread_id) == shop.customer_of(other)
    assert tags_of(shop, thread_id) == [one]
    assert [each["draftId"] for each in get(shop, "/api/inbox/drafts", employeeUserId=alice)["drafts"]] == [draft_id]
    exported = get(shop, f"/api/customers/{shop.customer_of(thread_id)}/export")
    (thread,) = [each for each in exported["threads"] if each["customerThreadId"] == thread_id]
    assert thread["tags"] == [_name_of(shop, one)]
    assert [(each["internal"], each["text"]) for each in thread["drafts"]] == [(True, "a note")]


def _name_of(shop: Shop, tag_id: str) -> str:
    (name,) = [each["name"] for each in get(shop, TAGS, limit=200)["tags"] if each["tagId"] == tag_id]
    assert isinstance(name, str)
    return name
