"""Customers by the API: profiles, search and pagination."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from harness.shop import Shop, faults_of
from shopbell.customers import search
from shopbell.customers.customers import Profile
from shopbell.db.connect import open_database
from shopbell.db.database import Database
from shopbell.settings.settings import load


@pytest.fixture
def opened(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The server's database, opened in this process, too."""
    for name, value in shop.server.installation.environment.items():
        monkeypatch.setenv(name, value)
    database = open_database(load())
    yield database
    database.engine.dispose()


def _get(shop: Shop, path: str, token: str = "", **parameters: Any) -> httpx2.Response:
    headers = {"token": token or shop.world.token}
    return shop.server.client.get(path, headers=headers, params=parameters)


def _profile(shop: Shop, customer_id: int | str) -> dict[str, Any]:
    answer = _get(shop, f"/api/customers/{customer_id}/profile")
    assert answer.status_code == 200, answer.text
    profile: dict[str, Any] = answer.json()
    return profile


def _update(shop: Shop, customer_id: int, **fields: Any) -> httpx2.Response:
    return shop.post(fields, path=f"/api/customers/{customer_id}/profile/update")


def _found(shop: Shop, **parameters: Any) -> list[str]:
    answer = _get(shop, "/api/customers", **parameters)
    assert answer.status_code == 200, answer.text
    return [customer["id"] for customer in answer.json()["customers"]]


def test_a_profile_has_exactly_the_fields_of_the_contract(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol = shop.customer_of(shop.send(user={"email": email, "phoneNumber": number}))
    assert _profile(shop, carol) == {
        "id": str(carol),
        "type": "prospect",
        "editable": True,
        "pictureHref": None,
        "displayName": email,
        "emailAddress": email,
        "phoneNumber": number,
        "firstName": None,
        "lastName": None,
        "company": None,
        "channel": "WEB",
        "customerData": [],
        "lastSurveys": {"nps": None, "preferredChannel": None},
    }


def test_only_supplied_fields_change(shop: Shop) -> None:
    carol = shop.customer_of(shop.send(user={"email": shop.somebody(), "locale": "fr"}))
    answer = _update(shop, carol, firstName=" Carol ", lastName="Jones", company="Acme")
    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert _update(shop, carol, company="Globex", firstName=None).status_code == 200
    profile = _profile(shop, carol)
    assert (profile["firstName"], profile["lastName"], profile["company"]) == ("Carol", "Jones", "Globex")
    assert profile["displayName"] == "Carol Jones"
    assert profile["customerData"] == [{"name": "COMPANY", "value": "Globex"}, {"name": "LOCALE", "value": "fr"}]
    assert _update(shop, carol, firstName="", lastName="").status_code == 200
    assert _profile(shop, carol)["displayName"] == "Globex"


def test_a_profile_change_creates_an_event_without_personal_data(shop: Shop) -> None:
    carol = shop.customer_of(shop.send())
    assert _update(shop, carol, firstName="Carol", company="").status_code == 200
    assert _update(shop, carol, firstName="Carol").status_code == 200  # changes nothing
    (event,) = shop.database.rows(
        "SELECT * FROM events WHERE type = 'customer-updated' AND customer_id = :id", id=carol
    )
    assert event["details"] == '{"fields": ["firstName"]}'


def test_an_invalid_profile_is_refused_with_all_errors(shop: Shop) -> None:
    carol = shop.customer_of(shop.send())
    answer = _update(shop, carol, firstName="x" * 201, lastName=7, company="a\nb")
    assert faults_of(answer) == {
        ("body", "#/firstName", "too_long"),
        ("body", "#/lastName", "type"),
        ("body", "#/company", "invalid_character"),
    }
    assert _profile(shop, carol)["company"] is None


def test_the_channel_is_that_of_the_latest_conversation(shop: Shop) -> None:
    user = {"email": shop.somebody()}
    boston, paris = shop.send(user=user), shop.send(user=user, businessId=shop.world.paris)
    carol = shop.customer_of(boston)
    shop.database.change("UPDATE threads SET channel = 'SMS' WHERE id = :id", id=int(paris))
    assert _profile(shop, carol)["channel"] == "SMS"
    shop.database.change("UPDATE threads SET updated_at_ms = updated_at_ms + 9999999 WHERE id = :id", id=int(boston))
    assert _profile(shop, carol)["channel"] == "WEB"


def test_another_organizations_customer_is_404_on_every_route(shop: Shop) -> None:
    stranger = shop.send(token=shop.world.globex_token, businessId=shop.world.london)
    answers = []
    for id_ in (shop.customer_of(stranger), 1, "carol"):
        answers.append(_get(shop, f"/api/customers/{id_}/profile"))
        answers.append(_get(shop, f"/api/customers/{id_}/export"))
        actions = ("profile/update", "block", "unblock", "erase")
        answers += [shop.post({}, path=f"/api/customers/{id_}/{action}") for action in actions]
    assert {(answer.status_code, answer.json()["developerMessage"]) for answer in answers} == {
        (404, "Resource not found")
    }
    assert len(shop.messages(stranger)) == 1


def test_customers_are_found_by_address_and_number_in_any_spelling(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol = str(shop.customer_of(shop.send(user={"email": email, "phoneNumber": number})))
    assert _found(shop, email=email.upper()) == [carol]
    assert _found(shop, phoneNumber=f"{number[:5]} {number[5:]}") == [carol]
    assert _found(shop, phoneNumber=f" {number[1:]}") == [carol]  # a plus that was not encoded
    assert _found(shop, phoneNumber=f" \u202a{number}\u202c ") == [carol]  # pasted
    assert _found(shop, email=email, phoneNumber=number) == [carol]
    assert _found(shop, email=email, phoneNumber=shop.some_number()) == []
    assert _found(shop, email=shop.somebody()) == []


@pytest.mark.parametrize("written", ["Élodie", "élodie", "ÉLODIE"])
def test_customers_are_found_by_part_of_their_name_in_any_case(shop: Shop, written: str) -> None:
    mark = shop.somebody().partition("@")[0]
    carol = shop.customer_of(shop.send())
    _update(shop, carol, firstName=written, lastName=f"Van {mark}", company=f"{mark} & Sons")
    for text in (mark.upper(), f"van {mark}", f"Élodie Van {mark}", f"élodie van {mark}", f"{mark} & sons"):
        assert _found(shop, name=text) == [str(carol)], text
    assert _found(shop, name=f"Dave {mark}") == []


@pytest.mark.parametrize(
    ("kept", "sought"),
    [
        ("José", "jose"),
        ("Jose\u0301", "JOSÉ"),
        ("José", "Jose\u0301"),
        ("Groß", "GROSS"),
        ("GROSS", "groß"),
        ("Łukasz Ødegård", "lukasz odegard"),
        ("İpek Işık", "ipek isik"),
        ("Acme  Ltd", "Acme Ltd"),
        ("Acme Ltd", "acme\u00a0 ltd"),
        ("Σίσυφος", "ΣΊΣΥΦΟΣ"),
        ("\u202aDave\u202c", "dave"),
        ("محمد", "مُحَمَّد"),
        ("ＡＣＭＥ", "acme"),
    ],
)
def test_a_name_is_found_regardless_of_case_accents_and_spaces(shop: Shop, kept: str, sought: str) -> None:
    mark = shop.somebody().partition("@")[0]
    for field in ("lastName", "company"):
        carol = shop.customer_of(shop.send())
        _update(shop, carol, **{field: f"{mark} {kept}"})
        assert _found(shop, name=f"{mark.upper()} {sought}")[:1] == [str(carol)]


def test_a_voicing_mark_and_a_vowel_sign_make_a_different_name(shop: Shop) -> None:
    mark = shop.somebody().partition("@")[0]
    _update(shop, shop.customer_of(shop.send()), company=f"{mark} かき")
    assert _found(shop, name=f"{mark} がき") == []
    assert _found(shop, name="\u0301") == []


def test_a_name_is_stored_in_one_normal_form(shop: Shop) -> None:
    carol = shop.customer_of(shop.send())
    _update(shop, carol, firstName="Jose\u0301", company="Cafe\u0301")
    row = shop.database.rows("SELECT first_name, company FROM customers WHERE id = :id", id=carol)[0]
    assert (row["first_name"], row["company"]) == ("José", "Café")
    query = "SELECT count(*) FROM events WHERE type = 'customer-updated' AND customer_id = :id"
    _update(shop, carol, firstName="José")
    assert shop.database.value(query, id=carol) == 1


@pytest.mark.parametrize(
    ("name", "wrong", "code"),
    [
        ("name", "Ca\0rol", "invalid_character"),
        ("name", "Ca\nrol", "invalid_character"),
        ("name", "", "blank"),
        ("name", "x" * 201, "too_long"),
        ("email", "ca\0rol@example.com", "invalid_email"),
        ("phoneNumber", "+1617555\x000100", "invalid_phone_number"),
    ],
)
def test_a_search_that_can_match_nothing_is_refused(shop: Shop, name: str, wrong: str, code: str) -> None:
    assert faults_of(_get(shop, "/api/customers", **{name: wrong})) == {("query", name, code)}


@pytest.mark.parametrize("wildcard", ["%", "_", "/", "\\"])
def test_a_wildcard_in_a_name_is_literal(shop: Shop, wildcard: str) -> None:
    mark = shop.somebody().partition("@")[0]
    carol, dave = shop.customer_of(shop.send()), shop.customer_of(shop.send())
    _update(shop, carol, company=f"{mark}{wildcard}x")
    _update(shop, dave, company=f"{mark}yx")
    assert _found(shop, name=f"{mark}{wildcard}x") == [str(carol)]


def test_pages_stay_stable_while_customers_are_added(shop: Shop) -> None:
    mark = shop.somebody().partition("@")[0]
    customers = [shop.customer_of(shop.send()) for _ in range(5)]
    for customer in customers:
        _update(shop, customer, company=mark)
    read: list[str] = []
    cursor = None
    while True:
        page = _get(shop, "/api/customers", name=mark, limit=2, **({"cursor": cursor} if cursor else {})).json()
        read += [customer["id"] for customer in page["customers"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
        _update(shop, shop.customer_of(shop.send()), company=mark)
    assert read == [str(id_) for id_ in sorted(customers, reverse=True)]


def test_a_name_search_is_limited_per_page_and_continues_on_the_next(
    shop: Shop, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCHED_AT_ONCE", 3)
    mark = shop.somebody().partition("@")[0]
    carol = shop.customer_of(shop.send())
    _update(shop, carol, company=mark)
    newer = [shop.customer_of(shop.send()) for _ in range(3)]
    before_id: int | None = newer[-1] + 1
    found, before_id = _search(opened, shop, name=mark, before_id=before_id)
    assert (found, before_id) == ([], newer[0])
    found, before_id = _search(opened, shop, name=mark, before_id=before_id)
    assert [each.customer.id for each in found] == [carol]
    while before_id is not None:
        found, further = _search(opened, shop, name=mark, before_id=before_id)
        assert found == []
        assert further is None or further < before_id
        before_id = further


def _search(opened: Database, shop: Shop, **wanted: Any) -> tuple[list[Profile], int | None]:
    return opened.read_now(search.find_page, int(shop.world.acme), limit=2, **wanted)


def test_a_listed_customer_shows_their_identities(shop: Shop) -> None:
    email, number = shop.somebody(), shop.some_number()
    carol = shop.customer_of(shop.send(user={"email": email, "phoneNumber": number, "locale": "fr"}))
    (entry,) = _get(shop, "/api/customers", email=email).json()["customers"]
    created_at_ms = shop.database.value("SELECT created_at_ms FROM customers WHERE id = :id", id=carol)
    assert entry == {
        "id": str(carol),
        "displayName": email,
        "firstName": None,
        "lastName": None,
        "company": None,
        "emailAddresses": [email],
        "phoneNumbers": [number],
        "locale": "fr",
        "createdAt": created_at_ms,
        "blockedAt": None,
    }


def test_an_invalid_address_and_number_are_both_reported(shop: Shop) -> None:
    answer = _get(shop, "/api/customers", email="carol", phoneNumber="12")
    assert faults_of(answer) == {("query", "email", "invalid_email"), ("query", "phoneNumber", "invalid_phone_number")}
    assert faults_of(_get(shop, "/api/customers", cursor="x")) == {("query", "cursor", "invalid_format")}


def test_another_organizations_customers_are_never_found(shop: Shop) -> None:
    email = shop.somebody()
    shop.send(token=shop.world.globex_token, businessId=shop.world.london, user={"email": email})
    assert _found(shop, email=email) == []
