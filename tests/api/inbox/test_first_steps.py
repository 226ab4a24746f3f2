"""What a new organization still needs, as the inbox shows it to an owner."""

import itertools
from collections.abc import Callable

import pytest

from harness.employees import Browser, Hired, hire
from harness.installation import SECRET_KEY
from harness.shop import Shop
from harness.visitors import Site
from shopbell.accounts.roles import Roles
from shopbell.organizations import api_tokens, organizations
from shopbell.runtime.clock import now_ms
from shopbell.security.keys import Keys

STEPS = "/api/inbox/first-steps"
SIGNER = "a test"
_numbers = itertools.count(1)


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server that lets one machine sign in often, without a mail server."""
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000)


def new_organization(shop: Shop) -> tuple[str, Hired]:
    """An organization that has an owner and nothing else."""
    with shop.database.writing() as tx:
        made = organizations.create(tx, f"Initech {next(_numbers)}", actor=SIGNER, now_ms=now_ms())
    return str(made.id), hire(shop, organization_id=str(made.id), roles=Roles("owner"))


def token_of(shop: Shop, organization_id: str, *scopes: str) -> str:
    """A token with these scopes, or all."""
    keys = Keys((SECRET_KEY.encode(),)).derive(api_tokens.KEY_PURPOSE)
    with shop.database.writing() as tx:
        return api_tokens.create(tx, keys, int(organization_id), "test", scopes, None, actor=SIGNER, now_ms=now_ms())[1]


def done(browser: Browser) -> set[str]:
    """The steps that are done."""
    answer = browser.get(STEPS)
    assert answer.status_code == 200, answer.text
    return {name for name, value in answer.json().items() if value}


def new_business(owner: Hired) -> str:
    """Create a business."""
    answer = owner.browser.call("/api/businesses", {"name": "Initech Austin"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def test_nothing_is_done_in_a_new_organization_whatever_others_have(shop: Shop) -> None:
    shop.send()  # Acme has a conversation
    _, owner = new_organization(shop)
    assert done(owner.browser) == set()
    assert {"hasBusiness", "hasConversation"} <= done(hire(shop, roles=Roles("owner")).browser)


def test_a_business_counts_until_it_is_deactivated(shop: Shop) -> None:
    _, owner = new_organization(shop)
    business = new_business(owner)
    assert done(owner.browser) == {"hasBusiness"}
    assert owner.browser.call(f"/api/businesses/{business}/deactivate").status_code == 200
    assert done(owner.browser) == set()


def test_the_widget_is_there_when_a_visitor_has_written_in_it(shop: Shop) -> None:
    organization, owner = new_organization(shop)
    business = new_business(owner)
    site = Site(shop, token_of(shop, organization), organization, business)
    assert site.key
    assert done(owner.browser) == {"hasBusiness"}
    visitor = site.visitor()
    assert done(owner.browser) == {"hasBusiness", "hasWidget"}
    visitor.say("Hello?")
    assert done(owner.browser) == {"hasBusiness", "hasWidget", "hasConversation"}


def test_a_message_through_the_api_is_a_conversation_and_no_widget(shop: Shop) -> None:
    organization, owner = new_organization(shop)
    business = new_business(owner)
    shop.send(token=token_of(shop, organization), businessId=business)
    assert done(owner.browser) == {"hasBusiness", "hasConversation"}


@pytest.mark.parametrize("in_one_business", [False, True])
def test_a_colleague_counts_once_they_have_a_role(shop: Shop, in_one_business: bool) -> None:
    _, owner = new_organization(shop)
    business = new_business(owner)
    colleague = owner.browser.call("/api/employees", {"name": "Peter"}).json()["id"]
    assert done(owner.browser) == {"hasBusiness"}
    role = {"businessRoles": [{"businessId": business, "role": "member"}]} if in_one_business else {"role": "member"}
    assert owner.browser.call(f"/api/employees/{colleague}/roles", role).status_code == 200
    assert done(owner.browser) == {"hasBusiness", "hasColleague"}
    assert owner.browser.call(f"/api/employees/{colleague}/deactivate").status_code == 200
    assert done(owner.browser) == {"hasBusiness"}


def test_email_is_set_up_when_the_server_has_a_mail_server(engine: str, shops: Callable[..., Shop]) -> None:
    shop = shops(
        engine,
        run_worker="false",
        visitor_rate_per_min=100_000,
        smtp_url="smtp://127.0.0.1:1",
        smtp_starttls="never",
        mail_from="shop@example.com",
    )
    assert done(new_organization(shop)[1].browser) == {"sendsEmails"}


def test_a_manager_and_a_token_without_the_scope_do_not_see_the_steps(shop: Shop) -> None:
    organization, _ = new_organization(shop)
    manager = hire(shop, organization_id=organization, roles=Roles("manager"))
    assert manager.browser.get(STEPS).status_code == 403
    ask = shop.server.client.get
    allowed, other = (token_of(shop, organization, scope) for scope in ("organization:manage", "threads:read"))
    assert ask(STEPS, headers={"token": allowed}).status_code == 200
    assert ask(STEPS, headers={"token": other}).status_code == 403
