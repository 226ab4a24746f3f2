"""Verified visitors of websites, and apps that identify their customer."""

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable

import httpx2
import pytest

from harness.shop import Shop, faults_of
from harness.visitors import Site, acmes_site, globexs_site


@pytest.fixture
def site(engine: str, shops: Callable[..., Shop]) -> Site:
    """Acme's website, on a server that delivers nothing."""
    return acmes_site(shops(engine, run_worker="false"))


def _somebody() -> str:
    return f"user-{uuid.uuid4().hex}"


def _refused(site: Site, token: str) -> tuple[str, str]:
    answer = site.begin(identityToken=token)
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == 'Bearer realm="customer"'
    assert "sessionToken" not in answer.text
    return answer.json()["reason"], answer.json()["developerMessage"]


def test_a_verified_visitor_gets_the_customer_and_conversation_of_their_address(site: Site) -> None:
    email = site.shop.somebody()
    thread_id = site.shop.send(user={"email": email}, message="by the form")
    carol = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email.upper()))
    assert carol.begun["verified"] is True
    assert carol.begun["customerThreadId"] == thread_id
    assert carol.texts() == ["by the form"]
    assert carol.say("by the widget")["customerThreadId"] == thread_id


def test_a_site_can_identify_its_customer_by_id_alone(site: Site) -> None:
    subject = _somebody()
    claims = {"sub": subject, "given_name": "Carol", "family_name": "Carter", "locale": "fr"}
    first = site.visitor(identityToken=site.identity_token(**claims))
    thread_id = first.say("from the phone")["customerThreadId"]
    (customer,) = site.shop.database.rows("SELECT * FROM customers WHERE id = :id", id=site.shop.customer_of(thread_id))
    assert (customer["first_name"], customer["last_name"], customer["locale"]) == ("Carol", "Carter", "fr")
    second = site.visitor(identityToken=site.identity_token(sub=subject))
    assert second.texts() == ["from the phone"]
    assert site.visitor(identityToken=site.identity_token(sub=_somebody())).texts() == []


def test_messages_from_before_sign_in_are_merged_and_the_merge_can_be_undone(site: Site) -> None:
    visitor = site.visitor()
    thread_id = visitor.say("before signing in")["customerThreadId"]
    was = site.shop.customer_of(thread_id)
    token = site.identity_token(sub=_somebody(), email=site.shop.somebody())
    carol = site.visitor(visitor.headers, identityToken=token)
    assert carol.texts() == ["before signing in"]
    visitor.wait_until_ended()
    now = site.shop.customer_of(thread_id)
    assert now != was
    (merge,) = site.shop.database.rows("SELECT * FROM customer_merges WHERE merged_customer_id = :id", id=was)
    assert merge["kept_customer_id"] == now
    assert site.shop.post({}, path=f"/api/customers/merges/{merge['id']}/undo").status_code == 200
    assert carol.texts() == []


def test_on_a_shared_computer_customers_are_not_mixed(site: Site) -> None:
    carol = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=site.shop.somebody()))
    thread_id = carol.say("Carol's canary")["customerThreadId"]
    dave = site.visitor(carol.headers, identityToken=site.identity_token(sub=_somebody()))
    assert dave.texts() == []
    assert dave.say("Dave's")["customerThreadId"] != thread_id


def test_a_session_continues_only_for_the_same_customer(site: Site) -> None:
    subject = _somebody()
    carol = site.visitor(identityToken=site.identity_token(sub=subject, email=site.shop.somebody()))
    carol.say("Carol's canary")
    again = site.visitor(carol.headers, identityToken=site.identity_token(sub=subject))
    assert again.token == carol.token
    assert again.begun["customerId"] == carol.begun["customerId"]
    assert again.begun["expiresAt"] >= carol.begun["expiresAt"]
    assert again.texts() == ["Carol's canary"]
    new_address = site.shop.somebody()
    site.visitor(carol.headers, identityToken=site.identity_token(sub=subject, email=new_address))
    assert (
        site.shop.database.value("SELECT count(*) FROM customer_sessions WHERE email = :email", email=new_address) == 1
    )
    sessions = site.shop.count("customer_sessions")
    dave = site.visitor(carol.headers, identityToken=site.identity_token(sub=_somebody()))
    assert site.shop.count("customer_sessions") == sessions + 1
    assert dave.token != carol.token
    assert dave.begun["customerId"] != carol.begun["customerId"]
    assert dave.texts() == []
    carol.wait_until_ended()


def test_a_session_continues_only_with_its_business_and_before_its_end(site: Site) -> None:
    subject = _somebody()
    carol = site.visitor(identityToken=site.identity_token(sub=subject))
    elsewhere = {"businessId": site.shop.world.paris, "identityToken": site.identity_token(sub=subject)}
    in_paris = site.visitor(carol.headers, **elsewhere)
    assert in_paris.token != carol.token
    assert in_paris.begun["customerId"] == carol.begun["customerId"]
    assert in_paris.post("sign-out").status_code == 200
    anew = site.visitor(in_paris.headers, **elsewhere)  # the end may not be known to every process yet
    assert anew.token != in_paris.token


def test_a_merged_customers_session_continues(site: Site) -> None:
    subject, email = _somebody(), site.shop.somebody()
    carol = site.visitor(identityToken=site.identity_token(sub=subject))
    carol.say("before the merge")
    kept = site.shop.customer_of(site.shop.send(user={"email": email}))
    merge = site.shop.post({"otherCustomerId": carol.begun["customerId"]}, path=f"/api/customers/{kept}/merge")
    assert merge.status_code == 200
    again = site.visitor(carol.headers, identityToken=site.identity_token(sub=subject))
    assert (again.token, again.begun["customerId"]) == (carol.token, str(kept))


def test_an_anonymous_session_never_becomes_a_verified_one(site: Site) -> None:
    visitor = site.visitor()
    assert visitor.begun["customerId"] is None
    carol = site.visitor(visitor.headers, identityToken=site.identity_token(sub=_somebody()))
    assert carol.token != visitor.token
    visitor.wait_until_ended()


def test_an_invalid_optional_claim_does_not_prevent_sign_in(site: Site) -> None:
    token = site.identity_token(sub=5_000_000_000, phone_number="555 0123", email="nobody", given_name="Carol")
    carol = site.visitor(identityToken=f"{token}\n")
    assert carol.begun["verified"] is True
    assert carol.begun["ignoredClaims"] == ["email", "phone_number"]
    thread_id = carol.say()["customerThreadId"]
    assert site.shop.identities(site.shop.customer_of(thread_id)) == {"email": [], "phone": []}
    assert site.visitor().begun["ignoredClaims"] == []


def test_a_web_page_sent_as_a_token_is_an_invalid_token_at_any_length(site: Site) -> None:
    for page in ("<!doctype html><title>Sign in</title>", "<p>" * 5_000, "", "\n"):
        assert _refused(site, page)[0] == "invalid"


def test_signing_in_does_not_remove_a_block(site: Site) -> None:
    visitor = site.visitor()
    thread_id = visitor.say("first")["customerThreadId"]
    was = site.shop.customer_of(thread_id)
    assert site.shop.post({}, path=f"/api/customers/{was}/block").status_code == 200
    site.visitor(visitor.headers, identityToken=site.identity_token(sub=_somebody()))
    assert site.shop.customer_of(thread_id) == was


def test_a_conflict_between_address_and_number_is_noted_and_moves_nothing(site: Site) -> None:
    email, phone = site.shop.somebody(), site.shop.some_number()
    one, other = site.shop.send(user={"email": email}), site.shop.send(user={"phoneNumber": phone})
    carol = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email, phone_number=phone))
    assert carol.begun["customerThreadId"] == one
    pair = sorted((site.shop.customer_of(one), site.shop.customer_of(other)))
    found = site.shop.database.rows(
        "SELECT * FROM possible_duplicates WHERE customer_id = :a AND other_customer_id = :b", a=pair[0], b=pair[1]
    )
    assert len(found) == 1
    assert site.shop.identities(site.shop.customer_of(other))["phone"] == [phone]


def test_an_address_reassigned_to_another_account_does_not_open_the_first_accounts_conversation(site: Site) -> None:
    email = site.shop.somebody()
    first = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email))
    first.say("the first one's canary")
    second = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email))
    assert second.texts() == []


def test_an_unverified_address_is_ignored(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email}, message="a canary")
    token = site.identity_token(sub=_somebody(), email=email, email_verified=False)
    assert site.visitor(identityToken=token).texts() == []


def test_an_expired_token_is_reported_and_other_invalid_tokens_are_not_distinguished(site: Site) -> None:
    now_s = int(time.time())
    assert _refused(site, site.identity_token(sub="x", exp=now_s - 1)) == (
        "expired",
        "Field 'identityToken' has expired",
    )
    other_key = globexs_site(site.shop).private_key
    for wrong in (
        site.identity_token(sub="x", exp=now_s + 7_300),
        site.identity_token(sub="x", exp=None),
        site.identity_token(sub="x", nbf=now_s + 600),
        site.identity_token(sub="x", aud="somebody else"),
        site.identity_token(sub="x", aud=None),
        site.identity_token(sub=None),
        site.identity_token(sub="x", key=other_key),
        site.identity_token(sub="x", algorithm="HS512"),
        site.identity_token(sub="x")[:-2],
        "a.b.c",
    ):
        assert _refused(site, wrong)[0] == "invalid"
    assert site.visitor(identityToken=site.identity_token(sub=_somebody(), aud=site.organization_id)).begun["verified"]


def test_a_new_secret_invalidates_old_tokens_and_proofs(own_shop: Shop) -> None:
    site = acmes_site(own_shop)
    email = own_shop.somebody()
    own_shop.send(user={"email": email})
    old = site.identity_token(sub="carol")
    assert site.begin(identityToken=old).status_code == 200
    nonce = uuid.uuid4().hex
    assert site.prove(email, nonce=nonce).status_code == 200
    cli = own_shop.server.installation.cli
    assert cli("organization", "private-key", site.organization_id)["privateKey"] == site.private_key
    fresh = cli("organization", "private-key", site.organization_id, "--rotate")["privateKey"]
    assert fresh != site.private_key
    assert _refused(site, old)[0] == "invalid"
    assert site.prove(email).status_code == 401
    site.private_key = fresh
    assert site.prove(email, nonce=nonce).status_code == 200
    stored = own_shop.database.rows("SELECT * FROM private_keys")
    assert fresh not in str(stored)
    assert fresh not in own_shop.server.log


def test_an_app_sees_all_conversations_of_its_customer(site: Site) -> None:
    email, world = site.shop.somebody(), site.shop.world
    boston = site.shop.send(user={"email": email}, message="to Boston")
    paris = site.shop.send(user={"email": email}, message="to Paris", businessId=world.paris)
    for named in (email, email.upper(), str(site.shop.customer_of(boston))):
        app = site.app(named)
        assert app.texts(customerThreadId=boston) == ["to Boston"]
        assert app.texts(customerThreadId=paris) == ["to Paris"]
    assert app.say("again", customerThreadId=paris)["customerThreadId"] == paris
    assert app.say("to the third", businessId=world.nowhere)["customerThreadId"] not in (boston, paris)
    unsaid = app.post("messages", text="to whom?", clientMessageId=str(uuid.uuid4()))
    assert faults_of(unsaid) == {("body", "#/customerThreadId", "required")}
    elsewhere = app.post("messages", text="x", clientMessageId=str(uuid.uuid4()), businessId=world.london)
    assert elsewhere.status_code == 403


def test_the_legacy_proof_matches_its_documentation(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{nonce}{email}".encode()).hexdigest()
    assert site.prove(email, nonce=nonce, digest=digest, algorithm="sha1").status_code == 200
    again = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{again}{email}".encode()).hexdigest()
    assert site.prove(email, nonce=again, digest=digest, algorithm=None).status_code == 200


def test_an_id_in_a_proof_can_be_an_integer(site: Site) -> None:
    customer_id = site.shop.customer_of(site.shop.send())
    nonce = uuid.uuid4().hex
    said = f"{nonce}:{customer_id}".encode()
    digest = hmac.digest(site.private_key.encode(), said, "sha256").hex()
    proof = {"nonce": nonce, "digest": digest, "algorithm": "hmac-sha256"}

    def prove(named: object) -> httpx2.Response:
        return site.shop.post(proof | {"customerId": named}, token=site.token, path="/api/authenticate-customer")

    for wrong, code in ((True, "type"), ([customer_id], "type"), (-1, "invalid_format"), (2**53, "invalid_format")):
        assert faults_of(prove(wrong)) == {("body", "#/customerId", code)}
    assert faults_of(prove(None)) == {("body", "#/customerId", "required")}
    assert prove(customer_id).status_code == 200


def test_all_invalid_proofs_get_the_same_response(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email})
    spent = uuid.uuid4().hex
    assert site.prove(email, nonce=spent).status_code == 200
    bob = globexs_site(site.shop)
    bobs = site.shop.somebody()
    site.shop.send(token=bob.token, user={"email": bobs}, businessId=bob.business_id)
    told = set()
    for answer in (
        site.prove(email, nonce=spent),
        site.prove(email, digest="0" * 64),
        site.prove(email, digest="é"),
        site.prove(site.shop.somebody()),
        site.prove(bobs),
        site.prove("1"),
        site.prove("neither"),
    ):
        told.add((answer.status_code, answer.json()["detail"], answer.json()["developerMessage"]))
    ((status, *_),) = told
    assert status == 401


def test_a_digest_is_valid_for_only_one_pair_of_nonce_and_customer(site: Site) -> None:
    bob = site.shop.somebody()
    for email in (bob, f"x{bob}"):
        site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{nonce}x{bob}".encode()).hexdigest()
    assert site.prove(f"x{bob}", nonce=nonce, digest=digest, algorithm="sha1").status_code == 200
    # The same letters, cut elsewhere.
    assert site.prove(bob, nonce=f"{nonce}x", digest=digest, algorithm="sha1").status_code == 401


def test_a_server_that_requires_hmac_refuses_sha1(engine: str, shops: Callable[..., Shop]) -> None:
    site = acmes_site(shops(engine, run_worker="false", customer_digests="hmac-sha256"))
    bob = site.shop.somebody()
    site.shop.send(user={"email": bob})
    nonce = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{nonce}{bob}".encode()).hexdigest()
    told = set()
    for named in (bob, site.shop.somebody()):
        # Who names no algorithm means SHA-1.
        for algorithm in ({"algorithm": "sha1"}, {"algorithm": None}):
            body = {"customerId": named, "nonce": nonce, "digest": digest, **algorithm}
            body = {name: value for name, value in body.items() if value is not None}
            answer = site.shop.post(body, token=site.token, path="/api/authenticate-customer")
            told.add((answer.status_code, answer.json()["developerMessage"]))
    assert told == {(401, "Field 'algorithm' must be 'hmac-sha256' on this server")}
    assert site.prove(bob, nonce=nonce).status_code == 200


def test_nonces_are_stored_only_as_hashes(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    assert site.prove(email, nonce=nonce).status_code == 200
    assert nonce not in str(site.shop.database.rows("SELECT * FROM used_nonces"))
