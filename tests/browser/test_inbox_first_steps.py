"""What an owner sees in the empty inbox of a new organization."""

import uuid
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from harness.browser import LOOKS, PHONE, Look, Visit, faults, keep_image, overflow_px
from harness.employees import Hired, hire
from harness.inbox_desk import Desk
from harness.shop import Shop
from harness.visitors import Site
from shopbell.accounts.roles import Roles
from shopbell.organizations import organizations
from shopbell.runtime.clock import now_ms

SITE = "https://shop.example"


@pytest.fixture
def desk(shops: Callable[..., Shop], visit: Callable[..., Visit]) -> Desk:
    """A server with other organizations."""
    return Desk(shops("sqlite", visitor_rate_per_min=100_000, rate_limit_per_s=1_000), visit)


def new_owner(desk: Desk, role: str = "owner") -> tuple[str, Hired]:
    """A new organization, and an employee of it."""
    with desk.shop.database.writing() as tx:
        made = organizations.create(tx, f"Initech {uuid.uuid4().hex[:6]}", actor="a test", now_ms=now_ms())
    return str(made.id), hire(desk.shop, organization_id=str(made.id), roles=Roles(role))  # type: ignore[arg-type]


def step(page: Page, text: str) -> Locator:
    """One of the first steps."""
    return page.locator(".first-steps li", has_text=text)


def do(page: Page, text: str) -> Locator:
    """Open the dialog of a step."""
    step(page, text).get_by_role("button").click()
    dialog = page.get_by_role("dialog", name=text)
    expect(dialog).to_be_visible()
    return dialog


def test_an_owner_goes_from_an_empty_inbox_to_the_first_conversation(desk: Desk) -> None:
    organization, owner = new_owner(desk)
    page = desk.open(owner)
    expect(page.locator(".first-steps .done")).to_have_text(["You are signed in as owner"])
    business = do(page, "Create a business")
    business.get_by_label("Name").fill("Initech Austin")
    business.get_by_role("button", name="Create").click()
    expect(step(page, "Create a business")).to_have_class("done")
    widget = do(page, "Add the chat")
    widget.get_by_label("Address of your website").fill(f"{SITE}/contact")
    widget.get_by_role("button", name="Continue").click()
    line = widget.locator("code")
    expect(line).to_contain_text(f'<script async src="{desk.url}/widget.js" data-key="pk_live_')
    expect(widget.get_by_role("status")).to_have_text("Now open your site and write a message in the chat.")
    key = line.inner_text().partition('data-key="')[2].partition('"')[0]
    business_id = line.inner_text().partition('data-business="')[2].partition('"')[0]
    site = Site(desk.shop, "", organization, business_id)
    site.visitor(key=key).say("Do you ship to Austin?")
    expect(widget.get_by_role("status")).to_have_text("The chat works: a visitor has written in it.")
    widget.get_by_role("button", name="Close").click()
    expect(page.locator(".row")).to_contain_text("Do you ship to Austin?")
    expect(page.locator(".first-steps")).to_have_count(0)


def test_a_colleague_is_invited_from_the_first_steps(desk: Desk) -> None:
    _, owner = new_owner(desk)
    visit = desk.tab(owner)
    page = visit.open(f"{desk.url}/inbox")
    dialog = do(page, "Invite your team")
    dialog.get_by_label("Name").fill("Peter Gibbons")
    dialog.get_by_label("Email address").fill(owner.email)
    dialog.get_by_role("button", name="Invite").click()
    expect(dialog.get_by_role("alert")).to_have_text("An employee with this address exists already.")
    visit.forgive("409")
    dialog.get_by_label("Email address").fill(f"{uuid.uuid4().hex}@staff.example")
    dialog.get_by_role("button", name="Invite").click()
    # This server has no mail server.
    expect(dialog.locator("code")).to_contain_text(f"{desk.url}/invitations/sbi_")
    dialog.get_by_role("button", name="Close").click()
    expect(step(page, "Invite your team")).to_have_class("done")


def test_the_command_for_a_first_message_names_the_server_and_the_business(desk: Desk) -> None:
    _, owner = new_owner(desk)
    business = owner.browser.call("/api/businesses", {"name": "Initech Austin"}).json()["id"]
    page = desk.open(owner)
    commands = do(page, "Send a first message").locator("code")
    expect(commands.last).to_contain_text(f"curl -sS -X POST {desk.url}/api/widget/send-message-to-business")
    expect(commands.last).to_contain_text(f'"businessId":"{business}"')
    page.keyboard.press("Escape")
    expect(do(page, "Set up email").locator("code").first).to_contain_text("SHOPBELL_SMTP_URL=")


def test_hidden_steps_stay_hidden(desk: Desk) -> None:
    _, owner = new_owner(desk)
    page = desk.open(owner)
    page.get_by_role("button", name="Hide the first steps").click()
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    page.reload()
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    expect(page.locator(".first-steps")).to_have_count(0)


def test_only_an_owner_sees_the_first_steps(desk: Desk) -> None:
    _, manager = new_owner(desk, "manager")
    page = desk.open(manager)
    expect(page.get_by_text("No one is waiting")).to_be_visible()
    expect(page.locator(".first-steps")).to_have_count(0)


@pytest.mark.parametrize("look", [*LOOKS, PHONE], ids=lambda look: look.name)
def test_the_first_steps_have_no_fault_in_any_look(desk: Desk, look: Look) -> None:
    _, owner = new_owner(desk)
    page = desk.open(owner, look=look)
    expect(page.locator(".first-steps li")).to_have_count(6)
    keep_image(page, f"inbox-first-steps-{look.name}")
    assert faults(page) == []
    assert overflow_px(page) == 0
    for index in range(5):
        page.locator(".first-steps li button").nth(index).click()
        expect(page.locator("dialog[open]")).to_be_visible()
        assert faults(page) == []
        assert overflow_px(page) == 0
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
