"""Employees read the lists of the inbox, and open conversations, by the API."""

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from harness.employees import Hired, hire, problem
from harness.inbox import catch_up, entry, listed
from harness.installation import Installation
from harness.shop import HELLO, Shop
from harness.streams import post, reply
from harness.world import World
from shopbell.http.inbox.conversation import EarlierMessages, OpenedConversation
from shopbell.http.inbox.threads import InboxCounts, InboxThreads


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server whose feeds only the tests consume."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


@pytest.fixture
def quiet_shop(installation: Installation, people: World) -> Iterator[Shop]:
    """The same, with no other conversations."""
    with installation.serving(run_worker="false") as server:
        yield Shop(server, people)


@pytest.fixture
def alice(shop: Shop) -> Hired:
    """An employee who is signed in."""
    return hire(shop)


def ids(entries: list[dict[str, object]]) -> list[object]:
    """The ids of conversations."""
    return [each["customerThreadId"] for each in entries]


def test_each_view_has_its_conversations_in_its_order(quiet_shop: Shop) -> None:
    shop, alice = quiet_shop, hire(quiet_shop)
    first, second, mine, replied, resolved = (shop.send() for _ in range(5))
    post(shop, "/api/assign-customer-thread", customerThreadId=mine, employeeUserId=str(alice.id))
    reply(shop, replied)
    post(shop, "/api/update-thread-status", customerThreadId=resolved, status="resolved")
    shop.send(user={"email": shop.identities(shop.customer_of(first))["email"][0]})  # continues to wait
    catch_up(shop)
    assert ids(listed(shop, alice)) == [first, second, mine]
    assert ids(listed(shop, alice, sort="recent")) == [first, mine, second]
    assert ids(listed(shop, alice, view="unassigned")) == [first, second]
    assert ids(listed(shop, alice, view="mine")) == [mine]
    assert ids(listed(shop, alice, view="open")) == [first, second, mine, replied]
    assert ids(listed(shop, alice, view="open", sort="recent")) == [first, replied, mine, second]
    assert ids(listed(shop, alice, view="resolved")) == [resolved]
    assert ids(listed(shop, alice, view="snoozed")) == ids(listed(shop, alice, view="mentions")) == []
    counts = alice.browser.get("/api/inbox/counts").json()
    assert counts == {
        "views": {"needs-reply": 3, "mine": 1, "unassigned": 2, "mentions": 0, "snoozed": 0, "open": 4},
        "businesses": [{"businessId": shop.world.boston, "needsReply": 3}],
        "savedViews": [],
    }
    InboxCounts.model_validate(counts)


def test_filters_are_combined(shop: Shop, alice: Hired) -> None:
    there = shop.send(businessId=shop.world.paris)
    post(shop, "/api/assign-customer-thread", customerThreadId=there, employeeUserId=str(alice.id))
    catch_up(shop)
    of_alice = {"assigneeUserId": str(alice.id)}
    assert ids(listed(shop, **of_alice)) == [there]
    assert ids(listed(shop, **of_alice, businessId=shop.world.paris, channel="WEB")) == [there]
    for other in ({"businessId": shop.world.boston}, {"channel": "SMS"}, {"view": "resolved"}):
        assert listed(shop, **of_alice, **other) == []
    resolved = {"view": "resolved", "customerThreadId": there}
    assert ids(listed(shop, **resolved)) == [there]  # whatever the view
    assert listed(shop, **resolved, businessId=shop.world.boston) == []


@pytest.mark.parametrize("sort", ["waiting", "recent"])
def test_pages_neither_repeat_nor_miss_a_conversation_when_others_change(quiet_shop: Shop, sort: str) -> None:
    shop, alice = quiet_shop, hire(quiet_shop)
    known = [shop.send() for _ in range(7)]
    catch_up(shop)
    seen, cursor, expected = [], "", known if sort == "waiting" else known[::-1]
    while True:
        path = f"/api/inbox/threads?limit=2&sort={sort}{cursor and f'&cursor={cursor}'}"
        page = alice.browser.get(path).json()
        InboxThreads.model_validate(page)
        seen += ids(page["threads"])
        if page["nextCursor"] is None:
            break
        cursor = page["nextCursor"]
        shop.send()  # comes later than all that were read
        catch_up(shop)
    assert [id_ for id_ in seen if id_ in known] == expected
    assert len(set(seen)) == len(seen)


def test_a_cursor_of_another_order_is_refused(shop: Shop, alice: Hired) -> None:
    for _ in range(2):
        shop.send()
    catch_up(shop)
    cursor = alice.browser.get("/api/inbox/threads?limit=1").json()["nextCursor"]
    refused = alice.browser.get(f"/api/inbox/threads?sort=recent&cursor={cursor}")
    assert problem(refused) == (400, "/problems/validation-error")


@pytest.mark.parametrize("view", ["mine", "mentions"])
def test_a_token_names_the_employee_whose_list_it_reads(shop: Shop, alice: Hired, view: str) -> None:
    headers = {"token": shop.world.token}
    refused = shop.server.client.get("/api/inbox/threads", params={"view": view}, headers=headers)
    assert problem(refused) == (400, "/problems/validation-error")
    assert listed(shop, view=view, employeeUserId=str(alice.id)) == []


def test_opening_a_conversation_takes_one_request(shop: Shop, alice: Hired) -> None:
    email = shop.somebody()
    thread_id = shop.send(user={"email": email})
    elsewhere = shop.send(businessId=shop.world.paris, user={"email": email})
    catch_up(shop)
    reply(shop, thread_id, "She called before.", internal=True)
    post(shop, "/api/assign-customer-thread", customerThreadId=thread_id, employeeUserId=str(alice.id))
    answer = alice.browser.get(f"/api/inbox/threads/{thread_id}")
    assert answer.status_code == 200, answer.text
    opened = answer.json()
    OpenedConversation.model_validate(opened)
    headers = {"token": shop.world.token}
    client = shop.server.client
    assert opened["messages"] == client.get(f"/api/threads/{thread_id}/messages", headers=headers).json()["messages"]
    profile = client.get(f"/api/customers/{shop.customer_of(thread_id)}/profile", headers=headers)
    assert opened["customer"].items() >= profile.json().items()
    (assigned,) = opened["activities"]
    assert assigned.pop("at") > 0
    details = {"employeeUserId": str(alice.id), "formerEmployeeUserId": None}
    assert (assigned["type"], assigned["afterSequence"], assigned["details"]) == ("assignment", 2, details)
    assert ids(opened["otherThreads"]) == [elsewhere]
    assert (opened["hasMore"], opened["readSequence"], opened["customerReadSequence"]) == (False, 0, 0)
    assert (opened["isMessagingWindowOpen"], opened["viewers"], opened["possibleDuplicates"]) == (True, [], [])
    # The response is current, even if the list follows later.
    assert (opened["thread"]["assigneeUserId"], opened["thread"]["lastSequence"]) == (str(alice.id), 2)
    events = client.get("/api/events", params={"after": opened["streamPosition"]}, headers=headers).json()["events"]
    assert thread_id not in [each["customerThreadId"] for each in events]
    assert entry(shop, thread_id, alice) == opened["thread"] | {"position": entry(shop, thread_id, alice)["position"]}


def test_a_conversation_opens_before_the_list_contains_it(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    opened = alice.browser.get(f"/api/inbox/threads/{thread_id}").json()
    assert (opened["thread"]["preview"], opened["thread"]["status"]) == (HELLO, "waiting")


def test_a_long_conversation_opens_at_its_end_and_goes_on_to_its_beginning(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    for number in range(2, 71):
        reply(shop, thread_id, f"message {number}")
    opened = alice.browser.get(f"/api/inbox/threads/{thread_id}").json()
    shown = [each["sequence"] for each in opened["messages"]]
    assert (shown, opened["hasMore"]) == ([*range(21, 71)], True)
    before, pages = shown[0], []
    path = f"/api/threads/{thread_id}/messages?limit=8&beforeSequence={before}"
    while True:
        page = alice.browser.get(path).json()
        pages.append([each["sequence"] for each in page["messages"]])
        if page["nextCursor"] is None:
            break
        path = f"/api/threads/{thread_id}/messages?limit=8&cursor={page['nextCursor']}"
    assert pages == [[*range(13, 21)], [*range(5, 13)], [*range(1, 5)]]


def test_earlier_messages_come_with_what_happened_in_their_time(shop: Shop, alice: Hired) -> None:
    thread_id, assignees = shop.send(), (alice.id, hire(shop).id)
    assigned = dict(zip((1, 11, 12, 61, 62), itertools.cycle(assignees), strict=False))
    for number in range(1, 112):
        if number > 1:
            reply(shop, thread_id, f"message {number}")
        if number in assigned:
            to = str(assigned[number])
            post(shop, "/api/assign-customer-thread", customerThreadId=thread_id, employeeUserId=to)
    page = alice.browser.get(f"/api/inbox/threads/{thread_id}").json()
    pages = [page]
    while page["hasMore"]:
        before = page["messages"][0]["sequence"]
        page = alice.browser.get(f"/api/inbox/threads/{thread_id}/earlier?beforeSequence={before}").json()
        EarlierMessages.model_validate(page)
        pages.append(page)
    assert [(each["messages"][0]["sequence"], each["messages"][-1]["sequence"]) for each in pages] == [
        (62, 111),
        (12, 61),
        (1, 11),
    ]
    after = [[did["afterSequence"] for did in each["activities"] if did["type"] == "assignment"] for each in pages]
    assert after == [[62], [12, 61], [1, 11]]
    path = f"/api/threads/{thread_id}/messages?beforeSequence=12"
    assert pages[2]["messages"] == alice.browser.get(path).json()["messages"]


def test_nothing_is_earlier_than_the_first_message(shop: Shop, alice: Hired) -> None:
    page = alice.browser.get(f"/api/inbox/threads/{shop.send()}/earlier?beforeSequence=1").json()
    assert page == {"messages": [], "hasMore": False, "activities": []}


def test_a_token_without_access_to_customers_opens_a_conversation_without_the_customer(shop: Shop) -> None:
    thread_id = shop.send()
    headers = {"token": shop.world.scoped["threads:read"]}
    opened = shop.server.client.get(f"/api/inbox/threads/{thread_id}", headers=headers).json()
    assert (opened["customer"], opened["thread"]["customerThreadId"]) == (None, thread_id)


def test_a_conversation_of_another_organization_does_not_open(shop: Shop) -> None:
    bob = hire(shop, organization_id=shop.world.globex)
    for path in ("", "/earlier"):
        answer = bob.browser.get(f"/api/inbox/threads/{shop.send()}{path}")
        assert problem(answer) == (404, "/problems/not-found")


def test_snoozed_conversations_are_listed_by_the_end_of_their_snooze(quiet_shop: Shop) -> None:
    shop, alice = quiet_shop, hire(quiet_shop)
    later, sooner, awake = (shop.send() for _ in range(3))
    now_ms = time.time_ns() // 1_000_000
    for hours, thread_id in ((2, later), (1, sooner)):
        post(shop, "/api/inbox/snooze", customerThreadId=thread_id, until=now_ms + hours * 3_600_000)
    catch_up(shop)
    assert ids(listed(shop, alice)) == ids(listed(shop, alice, view="unassigned")) == [awake]
    assert ids(listed(shop, alice, view="snoozed")) == [sooner, later]
    assert ids(listed(shop, alice, view="open")) == [awake, sooner, later]
    assert listed(shop, view="snoozed")[0]["snoozedUntil"] == now_ms + 3_600_000
    views = alice.browser.get("/api/inbox/counts").json()["views"]
    assert (views["needs-reply"], views["snoozed"], views["open"]) == (1, 2, 3)
    post(shop, "/api/inbox/unsnooze", customerThreadId=later)
    catch_up(shop)
    assert ids(listed(shop, alice)) == [later, awake]


def test_tags_filter_and_saved_views_count(shop: Shop, alice: Hired) -> None:
    thread_id, _ = shop.send(), shop.send()
    tag_id = post(shop, "/api/tags", name=shop.somebody()[:40])["tagId"]
    post(shop, "/api/tags/set-on-thread", customerThreadId=thread_id, addTagIds=[tag_id], removeTagIds=[])
    catch_up(shop)
    (tagged,) = listed(shop, alice, tagId=tag_id)
    assert (tagged["customerThreadId"], tagged["tagIds"]) == (thread_id, [tag_id])
    assert listed(shop, alice, tagId=tag_id, view="resolved") == []
    saved = alice.browser.call("/api/saved-views", {"name": "Bells", "query": f"view=open&tagId={tag_id}"}).json()
    counts = alice.browser.get("/api/inbox/counts").json()
    assert {"savedViewId": saved["savedViewId"], "count": 1} in counts["savedViews"]


def test_an_opened_conversation_has_the_drafts_that_the_employee_sees(shop: Shop, alice: Hired) -> None:
    thread_id, erin = shop.send(), hire(shop, name="Erin Evans")
    own = {"customerThreadId": thread_id, "mode": "reply", "text": "Dear Carol,"}
    assert alice.browser.call("/api/inbox/drafts", own).status_code == 200
    post(shop, "/api/inbox/drafts", customerThreadId=thread_id, mode="note", text="a suggestion")
    opened = {each.id: each.browser.get(f"/api/inbox/threads/{thread_id}").json() for each in (alice, erin)}
    assert {each["text"] for each in opened[alice.id]["drafts"]} == {"Dear Carol,", "a suggestion"}
    assert [each["text"] for each in opened[erin.id]["drafts"]] == ["a suggestion"]


def test_activities_name_who_did_it(shop: Shop, alice: Hired) -> None:
    thread_id = shop.send()
    done = {"customerThreadId": thread_id, "status": "resolved"}
    assert alice.browser.call("/api/update-thread-status", done).status_code == 200
    post(shop, "/api/update-thread-status", customerThreadId=thread_id, status="waiting")
    activities = alice.browser.get(f"/api/inbox/threads/{thread_id}").json()["activities"]
    assert [(each["type"], each["actorUserId"], each["actorName"]) for each in activities] == [
        ("status", str(alice.id), "Alice Archer"),
        ("status", None, None),
    ]
