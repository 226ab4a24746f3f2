"""A business that is unavailable to the organization is a 403."""

from harness.shop import Shop
from harness.waiting import ask_until_obeyed

JSON = ("Content-Type", "application/json")


def test_unavailable_businesses_get_the_same_response_except_for_the_instance(shop: Shop) -> None:
    before = shop.count("messages WHERE from_customer"), shop.count("customers")
    seen = {}
    for business in (
        shop.world.london,
        "1",
        "9007199254740991",
        shop.world.closed,
        shop.world.acme,
        shop.world.token_id,
    ):
        body = b'{"businessId": "%s", "message": "Hello", "user": {"email": "carol@example.com"}}' % business.encode()
        answer = shop.post_raw(body, ("token", shop.world.token), JSON)
        assert answer.status == 403, business
        request_id = answer.header("x-request-id") or ""
        headers = tuple(
            (name, value) for name, value in answer.headers if name not in ("x-request-id", "date", "ratelimit")
        )
        seen[business] = (answer.body.replace(request_id.encode(), b"ID"), headers)
    assert len(set(seen.values())) == 1, seen
    assert (shop.count("messages WHERE from_customer"), shop.count("customers")) == before


def test_a_403_matches_the_documentation(shop: Shop) -> None:
    answer = shop.post(shop.body(businessId=shop.world.london))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/business-not-in-organization"
    assert answer.json()["developerMessage"] == "Business does not belong to this organization"
    assert "errors" not in answer.json()


def test_an_organization_reaches_only_its_own_businesses(shop: Shop) -> None:
    shop.send(businessId=shop.world.london, token=shop.world.globex_token)
    answer = shop.post(shop.body(businessId=shop.world.boston), token=shop.world.globex_token)
    assert answer.status_code == 403


def test_a_business_created_while_the_server_runs_accepts_messages_at_once(shop: Shop) -> None:
    made = shop.server.installation.cli("business", "create", "--organization", shop.world.acme, "Acme Lyon")
    shop.send(businessId=str(made["id"]))


def test_a_business_requested_before_its_creation_accepts_messages_within_a_second(shop: Shop) -> None:
    highest = max(
        shop.database.value(f"SELECT max(id) FROM {table}")
        for table in ("businesses", "api_tokens", "threads", "messages", "customers")
        if shop.count(table)
    )
    for id_ in range(highest, highest + 20):
        shop.post(shop.body(businessId=str(id_)))
    made = shop.server.installation.cli("business", "create", "--organization", shop.world.acme, "Acme Nice")
    ask_until_obeyed(
        lambda: shop.post(shop.body(businessId=str(made["id"]))).status_code == 200,
        "the business cannot be written to 1 s after it was made",
    )


def test_a_deactivated_business_is_refused_within_a_second(shop: Shop) -> None:
    made = shop.server.installation.cli("business", "create", "--organization", shop.world.acme, "Acme Pop-up")
    business = str(made["id"])
    opened: list[str] = []

    def is_open() -> bool:  # not at once where another test has asked for this id too early
        answer = shop.post(shop.body(businessId=business))
        opened.extend([answer.json()["customerThreadId"]] if answer.status_code == 200 else [])
        return bool(opened)

    ask_until_obeyed(is_open, "the business cannot be written to 1 s after it was made")
    (thread_id,) = opened
    shop.database.change("UPDATE businesses SET deactivated_at_ms = 1 WHERE id = :id", id=int(business))
    ask_until_obeyed(
        lambda: shop.post(shop.body(businessId=business)).status_code != 200,
        "the deactivated business is still open after 1 s",
    )
    assert shop.post(shop.body(businessId=business)).status_code == 403
    assert len(shop.messages(thread_id)) == 1  # its conversations stay
