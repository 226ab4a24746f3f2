"""Visitors whom their site vouches for, and apps that prove for whom they speak."""

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


def test_a_visitor_whom_his_site_vouches_for_is_the_customer_of_that_address_with_his_conversation(site: Site) -> None:
    email = site.shop.somebody()
    thread_id = site.shop.send(user={"email": email}, message="by the form")
    carol = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email.upper()))
    assert carol.begun["verified"] is True
    assert carol.begun["customerThreadId"] == thread_id
    assert carol.texts() == ["by the form"]
    assert carol.say("by the widget")["customerThreadId"] == thread_id


def test_a_site_may_call_its_customer_by_a_name_alone_and_is_understood_again(site: Site) -> None:
    subject = _somebody()
    claims = {"sub": subject, "given_name": "Carol", "family_name": "Carter", "locale": "fr"}
    first = site.visitor(identityToken=site.identity_token(**claims))
    thread_id = first.say("from the phone")["customerThreadId"]
    (customer,) = site.shop.database.rows("SELECT * FROM customers WHERE id = :id", id=site.shop.customer_of(thread_id))
    assert (customer["first_name"], customer["last_name"], customer["locale"]) == ("Carol", "Carter", "fr")
    second = site.visitor(identityToken=site.identity_token(sub=subject))
    assert second.texts() == ["from the phone"]
    assert site.visitor(identityToken=site.identity_token(sub=_somebody())).texts() == []


def test_what_was_written_before_signing_in_goes_along_as_a_merge_that_can_be_undone(site: Site) -> None:
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


def test_on_a_shared_computer_one_customer_does_not_become_the_next(site: Site) -> None:
    carol = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=site.shop.somebody()))
    thread_id = carol.say("Carol's canary")["customerThreadId"]
    dave = site.visitor(carol.headers, identityToken=site.identity_token(sub=_somebody()))
    assert dave.texts() == []
    assert dave.say("Dave's")["customerThreadId"] != thread_id


def test_a_session_goes_on_for_the_same_customer_and_for_nobody_else(site: Site) -> None:
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


def test_a_session_goes_on_with_its_own_business_alone_and_not_after_its_end(site: Site) -> None:
    subject = _somebody()
    carol = site.visitor(identityToken=site.identity_token(sub=subject))
    elsewhere = {"businessId": site.shop.world.paris, "identityToken": site.identity_token(sub=subject)}
    in_paris = site.visitor(carol.headers, **elsewhere)
    assert in_paris.token != carol.token
    assert in_paris.begun["customerId"] == carol.begun["customerId"]
    assert in_paris.post("sign-out").status_code == 200
    anew = site.visitor(in_paris.headers, **elsewhere)  # the end may not be known to every process yet
    assert anew.token != in_paris.token


def test_a_merged_customers_session_goes_on(site: Site) -> None:
    subject, email = _somebody(), site.shop.somebody()
    carol = site.visitor(identityToken=site.identity_token(sub=subject))
    carol.say("before the merge")
    kept = site.shop.customer_of(site.shop.send(user={"email": email}))
    merge = site.shop.post({"otherCustomerId": carol.begun["customerId"]}, path=f"/api/customers/{kept}/merge")
    assert merge.status_code == 200
    again = site.visitor(carol.headers, identityToken=site.identity_token(sub=subject))
    assert (again.token, again.begun["customerId"]) == (carol.token, str(kept))


def test_an_anonymous_session_never_goes_on_as_a_verified_one(site: Site) -> None:
    visitor = site.visitor()
    assert visitor.begun["customerId"] is None
    carol = site.visitor(visitor.headers, identityToken=site.identity_token(sub=_somebody()))
    assert carol.token != visitor.token
    visitor.wait_until_ended()


def test_an_invalid_optional_claim_locks_nobody_out(site: Site) -> None:
    token = site.identity_token(sub=5_000_000_000, phone_number="555 0123", email="nobody", given_name="Carol")
    carol = site.visitor(identityToken=f"{token}\n")
    assert carol.begun["verified"] is True
    assert carol.begun["ignoredClaims"] == ["email", "phone_number"]
    thread_id = carol.say()["customerThreadId"]
    assert site.shop.identities(site.shop.customer_of(thread_id)) == {"email": [], "phone": []}
    assert site.visitor().begun["ignoredClaims"] == []


def test_a_page_instead_of_a_token_is_a_wrong_token_however_long_it_is(site: Site) -> None:
    for page in ("<!doctype html><title>Sign in</title>", "<p>" * 5_000, "", "\n"):
        assert _refused(site, page)[0] == "invalid"


def test_a_block_is_not_shaken_off_by_signing_in(site: Site) -> None:
    visitor = site.visitor()
    thread_id = visitor.say("first")["customerThreadId"]
    was = site.shop.customer_of(thread_id)
    assert site.shop.post({}, path=f"/api/customers/{was}/block").status_code == 200
    site.visitor(visitor.headers, identityToken=site.identity_token(sub=_somebody()))
    assert site.shop.customer_of(thread_id) == was


def test_an_address_of_one_customer_and_a_number_of_another_are_noted_and_nothing_moves(site: Site) -> None:
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


def test_an_address_that_another_account_has_by_now_does_not_open_the_first_ones_conversation(site: Site) -> None:
    email = site.shop.somebody()
    first = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email))
    first.say("the first one's canary")
    second = site.visitor(identityToken=site.identity_token(sub=_somebody(), email=email))
    assert second.texts() == []


def test_an_address_that_the_site_itself_has_not_confirmed_counts_for_nothing(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email}, message="a canary")
    token = site.identity_token(sub=_somebody(), email=email, email_verified=False)
    assert site.visitor(identityToken=token).texts() == []


def test_a_token_that_is_over_is_told_so_and_any_other_wrong_one_is_not_believed(site: Site) -> None:
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


def test_a_new_private_key_makes_the_old_ones_tokens_and_proofs_worthless(own_shop: Shop) -> None:
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


def test_an_app_sees_all_conversations_of_the_customer_that_it_speaks_for(site: Site) -> None:
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


def test_the_older_proof_is_what_is_known_of_it(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{nonce}{email}".encode()).hexdigest()
    assert site.prove(email, nonce=nonce, digest=digest, algorithm="sha1").status_code == 200
    again = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{again}{email}".encode()).hexdigest()
    assert site.prove(email, nonce=again, digest=digest, algorithm=None).status_code == 200


def test_an_id_may_be_an_integer_in_a_proof_too(site: Site) -> None:
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


def test_everything_that_is_wrong_with_a_proof_is_told_alike(site: Site) -> None:
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


def test_one_digest_does_not_prove_a_second_pair_of_nonce_and_customer(site: Site) -> None:
    bob = site.shop.somebody()
    for email in (bob, f"x{bob}"):
        site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    digest = hashlib.sha1(f"{site.private_key}{nonce}x{bob}".encode()).hexdigest()
    assert site.prove(f"x{bob}", nonce=nonce, digest=digest, algorithm="sha1").status_code == 200
    # The same letters, cut elsewhere.
    assert site.prove(bob, nonce=f"{nonce}x", digest=digest, algorithm="sha1").status_code == 401


def test_a_server_that_takes_hmac_only_takes_no_sha1_of_anybody(engine: str, shops: Callable[..., Shop]) -> None:
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


def test_nonces_are_not_kept_as_they_were_sent(site: Site) -> None:
    email = site.shop.somebody()
    site.shop.send(user={"email": email})
    nonce = uuid.uuid4().hex
    assert site.prove(email, nonce=nonce).status_code == 200
    assert nonce not in str(site.shop.database.rows("SELECT * FROM used_nonces"))
