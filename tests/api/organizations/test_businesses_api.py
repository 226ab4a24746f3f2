"""``/api/businesses``: list, create, change and deactivate businesses."""

from typing import Any

import httpx2

from harness.shop import Shop, faults_of

PATH = "/api/businesses"


def _create(shop: Shop, **fields: Any) -> httpx2.Response:
    return shop.post({"name": f"Acme {shop.somebody()[:8]}"} | fields, path=PATH)


def _get(shop: Shop, path: str, token: str = "", **query: Any) -> httpx2.Response:
    return shop.server.client.get(path, params=query, headers={"token": token or shop.world.token})


def _changed(shop: Shop, made: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The business after a change."""
    answer = shop.post(fields, path=f"{PATH}/{made['id']}/update")
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    business: dict[str, Any] = _get(shop, f"{PATH}/{made['id']}").json()
    return business


def _events(shop: Shop, business_id: str) -> list[tuple[str, str | None]]:
    rows = shop.database.rows(
        "SELECT type, details FROM events WHERE business_id = :id AND thread_id IS NULL ORDER BY position",
        id=int(business_id),
    )
    return [(row["type"], row["details"]) for row in rows]


def test_a_business_is_created_in_normal_form_and_accepts_messages(shop: Shop) -> None:
    answer = _create(
        shop,
        name=" Acme Toronto ",
        locale="fr_ca",
        region="ca",
        timeZone="America/Toronto",
        email="Shop@Acme.example",
        phoneNumber="(416) 555-0100",
        forwardPhoneNumber="+33 1 23 45 67 89",
    )
    assert answer.status_code == 200, answer.text
    made = answer.json()
    assert made == {
        "id": made["id"],
        "name": "Acme Toronto",
        "locale": "fr-CA",
        "region": "CA",
        "timeZone": "America/Toronto",
        "email": "Shop@Acme.example",
        "phoneNumber": "+14165550100",
        "forwardPhoneNumber": "+33123456789",
        "invitesCustomers": True,
        "tellsStore": True,
        "autoReplies": True,
        "openingHours": None,
        "survey": None,
        "brandColor": None,
        "active": True,
        "createdAt": made["createdAt"],
        "deactivatedAt": None,
    }
    assert _get(shop, f"{PATH}/{made['id']}").json() == made
    assert shop.thread(shop.send(businessId=made["id"]))["business_id"] == int(made["id"])
    assert _events(shop, made["id"]) == [("business-created", None)]


def test_a_business_needs_only_a_name_and_defaults_to_english_and_utc(shop: Shop) -> None:
    made = _create(shop).json()
    assert (made["locale"], made["timeZone"], made["region"], made["phoneNumber"]) == ("en", "UTC", None, None)


def test_all_invalid_values_are_reported_at_once(shop: Shop) -> None:
    before = shop.count("businesses")
    wrong = {
        "name": " ",
        "locale": "english",
        "region": "ZZ",
        "timeZone": "Mars/Olympus",
        "email": "nobody",
        "phoneNumber": "+4711-secret",
        "forwardPhoneNumber": 5,
    }
    answer = shop.post(wrong, path=PATH)
    assert faults_of(answer) == {
        ("body", "#/name", "blank"),
        ("body", "#/locale", "invalid_locale"),
        ("body", "#/region", "invalid_value"),
        ("body", "#/timeZone", "invalid_value"),
        ("body", "#/email", "invalid_email"),
        ("body", "#/phoneNumber", "invalid_phone_number"),
        ("body", "#/forwardPhoneNumber", "type"),
    }
    assert "secret" not in answer.text
    assert faults_of(shop.post({}, path=PATH)) == {("body", "#/name", "required")}
    assert shop.count("businesses") == before


def test_a_number_of_another_organizations_business_is_refused(shop: Shop) -> None:
    number, globex = "+442079460000", shop.world.globex_token
    london = shop.post({"name": "Globex London", "phoneNumber": number}, token=globex, path=PATH).json()
    faults = {("body", "#/phoneNumber", "invalid_phone_number")}
    before = shop.count("businesses")
    refused = _create(shop, phoneNumber=number)
    assert faults_of(refused) == faults
    assert number not in refused.text
    assert faults_of(shop.post({"phoneNumber": number}, path=f"{PATH}/{shop.world.paris}/update")) == faults
    assert shop.count("businesses") == before
    made = _create(shop, phoneNumber="+16175550100").json()
    assert _create(shop, phoneNumber="+16175550100").status_code == 200  # its own organization's
    assert _changed(shop, made, phoneNumber="+16175550100") == made
    assert shop.post({}, token=globex, path=f"{PATH}/{london['id']}/deactivate").status_code == 200
    assert _changed(shop, made, phoneNumber=number)["phoneNumber"] == number


def test_a_number_without_a_plus_uses_the_given_or_stored_region(shop: Shop) -> None:
    nowhere = _create(shop, phoneNumber="617 555 0100", forwardPhoneNumber="12")
    assert faults_of(nowhere) == {
        ("body", "#/phoneNumber", "invalid_phone_number"),
        ("body", "#/forwardPhoneNumber", "invalid_phone_number"),
    }
    made = _create(shop, region="US", phoneNumber="617 555 0100").json()
    assert made["phoneNumber"] == "+16175550100"
    path = f"{PATH}/{made['id']}/update"
    assert _changed(shop, made, phoneNumber="617 555 0199")["phoneNumber"] == "+16175550199"
    moved = _changed(shop, made, region="fr", phoneNumber="01 23 45 67 89")
    assert (moved["region"], moved["phoneNumber"]) == ("FR", "+33123456789")
    wrong = shop.post({"phoneNumber": "12", "email": "nobody", "region": "US"}, path=path)
    assert len(faults_of(wrong)) == 2
    assert _get(shop, f"{PATH}/{made['id']}").json() == moved


def test_an_update_changes_only_the_given_fields(shop: Shop) -> None:
    made = _create(shop, region="US", email="a@acme.example", phoneNumber="617 555 0100").json()
    assert _changed(shop, made) == made
    assert _changed(shop, made, name=None) == made
    assert _changed(shop, made, name="Acme Cambridge", email="") == made | {"name": "Acme Cambridge", "email": None}
    assert _events(shop, made["id"]) == [
        ("business-created", None),
        ("business-updated", '{"changed": ["name", "email"]}'),
    ]


def test_a_deactivated_business_refuses_messages_and_can_still_be_read(shop: Shop) -> None:
    made = _create(shop).json()
    path = f"{PATH}/{made['id']}/deactivate"
    assert shop.post({}, path=path).json() == {"result": "ok"}
    closed = _get(shop, f"{PATH}/{made['id']}").json()
    assert (closed["active"], closed["deactivatedAt"] >= made["createdAt"]) == (False, True)
    assert shop.post({}, path=path).status_code == 200
    assert _get(shop, f"{PATH}/{made['id']}").json() == closed
    assert shop.post(shop.body(businessId=made["id"])).status_code == 403
    assert [type_ for type_, _ in _events(shop, made["id"])] == ["business-created", "business-updated"]


def test_every_change_is_audited_with_its_token(shop: Shop) -> None:
    made = _create(shop).json()
    shop.post({"name": "Acme Lynn"}, path=f"{PATH}/{made['id']}/update")
    shop.post({}, path=f"{PATH}/{made['id']}/deactivate")
    rows = shop.database.rows(
        "SELECT actor, action FROM audit_entries WHERE subject = :subject ORDER BY id",
        subject=f"business {made['id']}",
    )
    actor = f"token {shop.world.token_id}"
    actions = ("business.create", "business.update", "business.deactivate")
    assert [(row["actor"], row["action"]) for row in rows] == [(actor, action) for action in actions]


def test_the_list_is_complete_while_businesses_are_added(shop: Shop) -> None:
    wanted = [_create(shop).json()["id"] for _ in range(3)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = _get(shop, PATH, limit=2, **({"cursor": cursor} if cursor else {})).json()
        assert len(page["businesses"]) <= 2
        seen += [business["id"] for business in page["businesses"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
        if len(seen) == 2:
            wanted.append(_create(shop).json()["id"])
    assert seen == sorted(set(seen), key=int)
    assert {shop.world.boston, shop.world.closed, *wanted} <= set(seen)
    assert shop.world.london not in seen
    assert faults_of(_get(shop, PATH, cursor="x")) == {("query", "cursor", "invalid_format")}
    assert faults_of(_get(shop, PATH, limit=201)) == {("query", "limit", "invalid_value")}


def test_reading_and_changing_need_different_scopes(shop: Shop) -> None:
    assert _get(shop, f"{PATH}/{shop.world.boston}", shop.world.reading_token).status_code == 200
    refused = shop.post({"name": "Acme"}, path=PATH, token=shop.world.reading_token)
    assert refused.status_code == 403
    assert "organization:manage" in refused.json()["developerMessage"]


def test_changes_by_the_command_line_are_in_the_feed(shop: Shop) -> None:
    cli = shop.server.installation.cli
    business_id = cli("business", "create", "--organization", shop.world.acme, "Acme Salem")["id"]
    cli("business", "update", business_id, "--phone", "+16175550100")
    for _ in range(2):
        cli("business", "deactivate", business_id)
    assert _events(shop, business_id) == [
        ("business-created", None),
        ("business-updated", '{"changed": ["phoneNumber"]}'),
        ("business-updated", '{"changed": ["active"]}'),
    ]


def test_a_business_shows_its_opening_hours_and_notification_address(shop: Shop) -> None:
    made = _create(shop).json()
    monday = [["09:00", "12:00"], ["13:30", "18:00"]]
    christmas = {"date": "2026-12-25", "intervals": [], "name": "Christmas"}
    switches = {"invitesCustomers": False, "tellsStore": False, "autoReplies": False}
    hours = {"weekly": {"mon": monday[::-1]}, "exceptions": [christmas]}
    changed = _changed(shop, made, **switches, openingHours=hours, survey="nps", brandColor="#8F4F00")
    assert {name: changed[name] for name in switches} == switches
    assert changed["openingHours"]["weekly"]["mon"] == monday
    assert changed["openingHours"]["exceptions"] == [christmas]
    assert (changed["survey"], changed["brandColor"]) == ("nps", "#8f4f00")
    emptied = _changed(shop, made, openingHours={}, survey="", brandColor="")
    assert (emptied["openingHours"], emptied["survey"], emptied["brandColor"]) == (None, None, None)
    assert emptied["tellsStore"] is False


def test_every_error_in_opening_hours_is_reported_with_its_location(shop: Shop) -> None:
    made = _create(shop).json()
    hours = {"weekly": {"mon": [["25:00", "18:00"], 7]}, "exceptions": [{"date": "2026-02-30", "intervals": []}]}
    answer = shop.post({"openingHours": hours, "survey": "x", "name": ""}, path=f"{PATH}/{made['id']}/update")
    assert answer.status_code == 400
    assert {(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]} == {
        ("#/name", "blank"),
        ("#/openingHours/weekly/mon/0/0", "invalid_format"),
        ("#/openingHours/weekly/mon/1", "type"),
        ("#/openingHours/exceptions/0/date", "invalid_format"),
        ("#/survey", "invalid_value"),
    }
    assert "25:00" not in answer.text
