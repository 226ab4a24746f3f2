"""Merging customers: previews, merges, undo and possible duplicates."""

from typing import Any

import httpx2
import pytest

from harness.shop import Shop, faults_of

MONTH_MS = 30 * 24 * 60 * 60 * 1000


class Two:
    """Carol, known by an address, and a stranger, known by a number, who may be she."""

    def __init__(self, shop: Shop, *, merged_at: str = "boston") -> None:
        self.shop = shop
        self.email, self.number = shop.somebody(), shop.some_number()
        self.carols = shop.send(user={"email": self.email}, message="by mail")
        business = getattr(shop.world, merged_at)
        self.others = shop.send(user={"phoneNumber": self.number}, businessId=business, message="by phone")
        self.carol, self.other = shop.customer_of(self.carols), shop.customer_of(self.others)

    def merge(self, **fields: Any) -> httpx2.Response:
        """Merge the stranger into Carol."""
        body = {"otherCustomerId": str(self.other)} | fields
        return self.shop.post(body, path=f"/api/customers/{self.carol}/merge")

    def merged(self) -> str:
        """Merge them, which must be done, and give the merge's id."""
        answer = self.merge()
        assert answer.status_code == 200, answer.text
        merge_id = answer.json()["mergeId"]
        assert isinstance(merge_id, str)
        return merge_id

    def undo(self, merge_id: str) -> httpx2.Response:
        """Undo a merge."""
        return self.shop.post({}, path=f"/api/customers/merges/{merge_id}/undo")

    def state(self) -> list[list[dict[str, Any]]]:
        """Everything that a merge may change."""
        whose = "organization_id = :acme AND {} IN (:carol, :other)"
        tables = {"customers": "id", "customer_identities": "customer_id", "threads": "customer_id"}
        ids = {"acme": int(self.shop.world.acme), "carol": self.carol, "other": self.other}
        rows = [
            self.shop.database.rows(f"SELECT * FROM {table} WHERE {whose.format(column)}", **ids)
            for table, column in tables.items()
        ]
        return [sorted(found, key=str) for found in rows]


def _get(shop: Shop, path: str, **parameters: Any) -> Any:
    answer = shop.server.client.get(path, params=parameters, headers={"token": shop.world.token})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _named(shop: Shop, customer_id: int, **fields: str) -> None:
    assert shop.post(fields, path=f"/api/customers/{customer_id}/profile/update").status_code == 200


def test_a_preview_describes_a_merge_and_changes_nothing(shop: Shop) -> None:
    two = Two(shop, merged_at="paris")
    third = shop.send(user={"phoneNumber": two.number})  # both have a conversation with Boston
    _named(shop, two.carol, firstName="Carol")
    _named(shop, two.other, firstName="C.", company="Globex")
    before = two.state()
    preview = two.merge(preview=True).json()
    assert preview == {
        "result": "ok",
        "mergeId": None,
        "customerId": str(two.carol),
        "mergedCustomerId": str(two.other),
        "identities": [{"kind": "phone", "shown": two.number}],
        "movingThreadIds": [two.others],
        "stayingThreadIds": [third],
        "filledFields": ["company"],
    }
    assert two.state() == before
    done = two.merge().json()
    assert done | {"mergeId": None} == preview
    assert done["mergeId"]


def test_after_a_merge_both_addresses_lead_to_one_conversation(shop: Shop) -> None:
    two = Two(shop)
    two.merged()
    for user in ({"email": two.email}, {"phoneNumber": two.number}, {"email": two.email, "phoneNumber": two.number}):
        assert shop.send(user=user) == two.carols
    assert len(shop.messages(two.carols)) == 4
    assert len(shop.messages(two.others)) == 1
    assert shop.identities(two.carol) == {"email": [two.email], "phone": [two.number]}


def test_a_conversation_with_another_business_moves_and_continues(shop: Shop) -> None:
    two = Two(shop, merged_at="paris")
    two.merged()
    assert shop.customer_of(two.others) == two.carol
    assert shop.send(user={"email": two.email}, businessId=shop.world.paris) == two.others
    assert shop.messages(two.others)[0]["body"] == "by phone"
    assert shop.thread(two.others)["last_sequence"] == 2


def test_a_conversation_that_cannot_move_is_listed_with_the_customer(shop: Shop) -> None:
    two = Two(shop)
    two.merged()
    for id_ in (two.carol, two.other):
        listed = _get(shop, "/api/threads", customerId=id_)["threads"]
        assert {thread["customerThreadId"] for thread in listed} == {two.carols, two.others}
        assert {thread["customerId"] for thread in listed} == {str(two.carol)}


def test_a_merged_customers_id_returns_the_kept_customer(shop: Shop) -> None:
    two = Two(shop)
    two.merged()
    assert _get(shop, f"/api/customers/{two.other}/profile") == _get(shop, f"/api/customers/{two.carol}/profile")
    _named(shop, two.other, company="Globex")
    assert _get(shop, f"/api/customers/{two.carol}/profile")["company"] == "Globex"
    found = _get(shop, "/api/customers", phoneNumber=two.number)["customers"]
    assert [customer["id"] for customer in found] == [str(two.carol)]


def test_missing_profile_fields_are_copied_from_the_merged_customer(shop: Shop) -> None:
    two = Two(shop)
    _named(shop, two.carol, firstName="Carol")
    _named(shop, two.other, firstName="C.", lastName="Jones")
    two.merged()
    profile = _get(shop, f"/api/customers/{two.carol}/profile")
    assert (profile["firstName"], profile["lastName"]) == ("Carol", "Jones")


def test_all_ids_of_a_merge_chain_return_the_last_customer_until_undone(shop: Shop) -> None:
    threads = [shop.send(user={"email": shop.somebody()}) for _ in range(3)]
    first, second, third = (shop.customer_of(thread_id) for thread_id in threads)

    def listed(customer: int) -> set[tuple[str, str]]:
        answer = shop.server.client.get(
            "/api/threads", params={"customerId": customer}, headers={"token": shop.world.token}
        )
        return {(thread["customerThreadId"], thread["customerId"]) for thread in answer.json()["threads"]}

    merges = []
    for kept, other in ((second, third), (first, second)):
        answer = shop.post({"otherCustomerId": other}, path=f"/api/customers/{kept}/merge")
        merges.append(answer.json()["mergeId"])
    for customer in (first, second, third):
        assert listed(customer) == {(thread_id, str(first)) for thread_id in threads}
    assert shop.post({}, path=f"/api/customers/merges/{merges[1]}/undo").status_code == 200
    assert listed(first) == {(threads[0], str(first))}
    for customer in (second, third):
        assert listed(customer) == {(thread_id, str(second)) for thread_id in threads[1:]}


@pytest.mark.parametrize("merged_at", ["boston", "paris"])
def test_an_undo_returns_exactly_what_was_moved(shop: Shop, merged_at: str) -> None:
    two = Two(shop, merged_at=merged_at)
    _named(shop, two.other, company="Globex")
    before = two.state()
    merge_id = two.merged()
    assert two.state() != before
    assert two.undo(merge_id).status_code == 200
    assert two.state() == before


def test_messages_written_since_a_merge_are_not_moved_by_an_undo(shop: Shop) -> None:
    two = Two(shop)
    merge_id = two.merged()
    assert shop.send(user={"phoneNumber": two.number}, message="meanwhile") == two.carols
    assert two.undo(merge_id).status_code == 200
    assert [message["body"] for message in shop.messages(two.carols)] == ["by mail", "meanwhile"]
    assert shop.send(user={"phoneNumber": two.number}, message="afterwards") == two.others
    assert [message["body"] for message in shop.messages(two.others)] == ["by phone", "afterwards"]


def test_a_field_changed_since_the_merge_is_not_reverted(shop: Shop) -> None:
    two = Two(shop)
    _named(shop, two.other, firstName="Carol", company="Globex")
    merge_id = two.merged()
    _named(shop, two.carol, company="Acme")
    assert two.undo(merge_id).status_code == 200
    profile = _get(shop, f"/api/customers/{two.carol}/profile")
    assert (profile["firstName"], profile["company"]) == (None, "Acme")


def test_a_merge_can_be_undone_once_and_within_30_days(shop: Shop) -> None:
    two = Two(shop)
    merge_id = two.merged()
    older = "UPDATE customer_merges SET created_at_ms = created_at_ms - :ms WHERE id = :id"
    shop.database.change(older, ms=MONTH_MS, id=int(merge_id))
    late = two.undo(merge_id)
    assert (late.status_code, late.json()["developerMessage"]) == (409, "The merge is older than 30 days")
    shop.database.change(older, ms=-60_000, id=int(merge_id))
    assert two.undo(merge_id).status_code == 200
    assert two.undo(merge_id).status_code == 409
    assert two.undo("1").status_code == 404
    assert two.merge().status_code == 200  # and they may be merged again


def test_an_undo_that_would_create_two_conversations_with_one_business_is_refused(shop: Shop) -> None:
    two = Two(shop, merged_at="paris")
    staying = shop.send(user={"phoneNumber": two.number})
    merge_id = two.merged()
    body = {"customerThreadId": two.carols, "businessId": shop.world.nowhere}
    assert shop.post(body, path="/api/transfer-customer-thread").status_code == 200
    # The conversation that moved is now with the business of the one that stayed, which no route would do.
    handed_on = "UPDATE threads SET business_id = :boston WHERE id = :id"
    assert shop.database.change(handed_on, boston=int(shop.world.boston), id=int(two.others))
    assert shop.customer_of(staying) == two.other
    before = two.state()
    answer = two.undo(merge_id)
    assert answer.status_code == 409
    assert "conflicts with another one" in answer.json()["developerMessage"]
    assert two.state() == before


def test_nested_merges_are_undone_one_by_one(shop: Shop) -> None:
    two = Two(shop, merged_at="paris")
    before = two.state()
    first = two.merged()
    between = two.state()
    dave = shop.customer_of(shop.send(businessId=shop.world.nowhere))
    answer = shop.post({"otherCustomerId": two.carol}, path=f"/api/customers/{dave}/merge")
    assert answer.status_code == 200, answer.text
    assert shop.customer_of(two.carols) == shop.customer_of(two.others) == dave
    for id_ in (two.carol, two.other):
        assert _get(shop, f"/api/customers/{id_}/profile")["id"] == str(dave)
    assert shop.database.value("SELECT merged_into_id FROM customers WHERE id = :id", id=two.other) == dave
    refused = two.undo(first)
    assert (refused.status_code, refused.json()["developerMessage"]) == (409, "The customer was merged again since")
    assert two.undo(answer.json()["mergeId"]).status_code == 200
    assert two.state() == between
    assert two.undo(first).status_code == 200
    assert two.state() == before


def test_a_customer_cannot_be_merged_twice_or_with_themselves(shop: Shop) -> None:
    two = Two(shop)
    itself = shop.post({"otherCustomerId": two.carol}, path=f"/api/customers/{two.carol}/merge")
    assert faults_of(itself) == {("body", "#/otherCustomerId", "invalid_value")}
    two.merged()
    assert two.merge().status_code == 409
    dave = shop.customer_of(shop.send())
    answer = shop.post({"otherCustomerId": two.other}, path=f"/api/customers/{dave}/merge")
    assert (answer.status_code, answer.json()["developerMessage"]) == (409, "The other customer was merged before")
    # A merge into a merged customer is a merge into the customer that they became.
    answer = shop.post({"otherCustomerId": dave}, path=f"/api/customers/{two.other}/merge")
    assert answer.json()["customerId"] == str(two.carol)
    assert shop.post({"otherCustomerId": two.carol}, path=f"/api/customers/{dave}/merge").status_code in (400, 409)


def test_another_organizations_customer_cannot_be_merged_or_seen(shop: Shop) -> None:
    two = Two(shop)
    stranger = shop.customer_of(shop.send(token=shop.world.globex_token, businessId=shop.world.london))
    for preview in (True, False):
        assert two.merge(otherCustomerId=stranger, preview=preview).status_code == 404
        body = {"otherCustomerId": two.carol, "preview": preview}
        assert shop.post(body, path=f"/api/customers/{stranger}/merge").status_code == 404
    merge_id = two.merged()
    path = f"/api/customers/merges/{merge_id}/undo"
    assert shop.post({}, path=path, token=shop.world.globex_token).status_code == 404


def test_a_blocked_and_an_unblocked_customer_cannot_be_merged(shop: Shop) -> None:
    two = Two(shop)
    assert shop.post({}, path=f"/api/customers/{two.other}/block").status_code == 200
    for preview in (True, False):
        answer = two.merge(preview=preview)
        assert answer.json()["developerMessage"] == "Only one of the two customers is blocked"
        assert answer.status_code == 409
    assert shop.post({}, path=f"/api/customers/{two.carol}/block").status_code == 200
    merge_id = two.merged()
    shop.send(user={"phoneNumber": two.number}, message="unheard")
    assert len(shop.messages(two.carols)) == 1
    assert shop.post({}, path=f"/api/customers/{two.carol}/unblock").status_code == 200
    assert two.undo(merge_id).status_code == 200
    shop.send(user={"phoneNumber": two.number}, message="heard")
    assert [message["body"] for message in shop.messages(two.others)] == ["by phone", "heard"]


def test_a_block_during_a_merge_applies_to_both_after_an_undo(shop: Shop) -> None:
    two = Two(shop)
    merge_id = two.merged()
    assert shop.post({}, path=f"/api/customers/{two.other}/block").status_code == 200
    shop.send(user={"phoneNumber": two.number})
    shop.send(user={"email": two.email})
    assert two.undo(merge_id).status_code == 200
    shop.send(user={"phoneNumber": two.number})
    assert len(shop.messages(two.carols)) == len(shop.messages(two.others)) == 1


def test_merges_create_events_and_notes_and_are_listed(shop: Shop) -> None:
    two = Two(shop)
    merge_id = two.merged()
    assert two.undo(merge_id).status_code == 200
    events = "SELECT type, details FROM events WHERE customer_id = :id AND type LIKE 'customer-m%' ORDER BY position"
    details = f'{{"mergeId": "{merge_id}", "mergedCustomerId": "{two.other}"}}'
    assert [tuple(row.values()) for row in shop.database.rows(events, id=two.carol)] == [
        ("customer-merged", details),
        ("customer-merge-undone", details),
    ]
    noted = "SELECT action FROM audit_entries WHERE subject IN (:merge, :undo) ORDER BY id"
    subjects = {"merge": f"customer {two.other} into customer {two.carol}", "undo": f"merge {merge_id}"}
    actions = [row["action"] for row in shop.database.rows(noted, **subjects)]
    assert actions == ["customer.merge", "customer.merge-undo"]
    again = two.merged()
    page = _get(shop, "/api/customers/merges", limit=1)
    assert page["merges"][0]["id"] == again
    assert page["merges"][0]["undoneAt"] is None
    (entry,) = _get(shop, "/api/customers/merges", limit=1, cursor=page["nextCursor"])["merges"]
    assert (entry["id"], entry["customerId"], entry["mergedCustomerId"]) == (merge_id, str(two.carol), str(two.other))
    assert entry["undoableUntil"] == entry["createdAt"] + MONTH_MS
    assert entry["undoneAt"] >= entry["createdAt"]


def _flagged(two: Two) -> tuple[str, str]:
    user = {"email": two.email, "phoneNumber": two.number}
    assert two.shop.send(user=user) == two.carols
    low, high = sorted((two.carol, two.other))
    return str(low), str(high)


def _pairs(shop: Shop) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    parameters: dict[str, Any] = {"limit": 2}
    while True:
        page = _get(shop, "/api/customers/possible-duplicates", **parameters)
        pairs += [(pair["customerId"], pair["otherCustomerId"]) for pair in page["possibleDuplicates"]]
        if page["nextCursor"] is None:
            return pairs
        parameters["cursor"] = page["nextCursor"]


def test_possible_duplicates_are_listed_in_pages_until_merged(shop: Shop) -> None:
    twos = [Two(shop) for _ in range(3)]
    expected = [_flagged(two) for two in twos]
    listed = [pair for pair in _pairs(shop) if pair in expected]
    assert listed == expected[::-1]
    twos[1].merged()
    assert [pair for pair in _pairs(shop) if pair in expected] == [expected[2], expected[0]]


def test_a_dismissed_pair_disappears_until_it_is_found_again(shop: Shop) -> None:
    two = Two(shop)
    pair = _flagged(two)
    body = {"customerId": two.other, "otherCustomerId": str(two.carol)}
    path = "/api/customers/possible-duplicates/dismiss"
    assert shop.post(body, path=path).json() == {"result": "ok"}
    assert pair not in _pairs(shop)
    assert shop.post(body, path=path, token=shop.world.globex_token).status_code == 404
    assert _flagged(two) in _pairs(shop)


def test_a_pair_with_a_merged_customer_shows_the_kept_customer(shop: Shop) -> None:
    two = Two(shop)
    _flagged(two)
    dave = shop.customer_of(shop.send(businessId=shop.world.nowhere))
    merged = shop.post({"otherCustomerId": two.other}, path=f"/api/customers/{dave}/merge").json()
    low, high = sorted((two.carol, dave))
    assert (str(low), str(high)) in _pairs(shop)
    body = {"customerId": two.carol, "otherCustomerId": dave}
    assert shop.post(body, path="/api/customers/possible-duplicates/dismiss").status_code == 200
    assert (str(low), str(high)) not in _pairs(shop)
    assert two.undo(merged["mergeId"]).status_code == 200


def test_the_command_line_merges_after_a_preview(shop: Shop) -> None:
    two = Two(shop)
    cli = shop.server.installation.cli
    before = two.state()
    preview = cli("customers", "merge", two.carol, two.other, "--preview")
    assert two.state() == before
    done = cli("customers", "merge", two.carol, two.other)
    assert done | {"mergeId": None} == preview
    assert cli("customers", "show", two.other)["mergedIntoId"] == str(two.carol)
    stranger = shop.customer_of(shop.send(token=shop.world.globex_token, businessId=shop.world.london))
    refused = shop.server.installation.run("customers", "merge", two.carol, stranger)
    assert (refused.returncode, refused.stderr) == (
        1,
        "shopbell: the two customers belong to different organizations\n",
    )
