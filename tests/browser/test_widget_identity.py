"""Several users of one browser never see each other's conversation."""

import json

import pytest
from playwright.sync_api import Frame, Route, expect

from harness.backend import Backend
from harness.widget import Shop, Widget

SECRET = "Carol's secret"
ENDED = r"status of 401 .*/api/customer/(sign-out|stream)\)"
"""The server ends Carol's session, too. On a slow machine it refuses her sign-out, or her stream before that."""


@pytest.fixture
def backend(shop: Shop) -> Backend:
    """The shop's backend; Carol is signed in."""
    return Backend(shop)


def panel_of(widget: Widget) -> Frame:
    """The panel's document."""
    return next(frame for frame in widget.page.frames if "/widget/panel" in frame.url)


def stored(widget: Widget) -> str:
    """The panel's data in the browser."""
    return str(panel_of(widget).evaluate("JSON.stringify(localStorage)"))


def carol(backend: Backend) -> Widget:
    """Carol has sent a message, and the business has replied."""
    widget = backend.shop.visit(backend.page())
    widget.open()
    widget.write(SECRET)
    widget.expect_state("sent")
    backend.shop.store.answer(widget.thread, "Our answer to Carol")
    widget.expect_texts(SECRET, "Our answer to Carol")
    return widget


def sign_in(backend: Backend, name: str) -> None:
    """Another user signs in to the website."""
    backend.subject = backend.new_subject(name)


def expect_own_conversation(widget: Widget, shop: Shop, carols: str, text: str) -> None:
    """Check that the visitor sees no message of Carol.

    Their own messages are not stored as hers.
    """
    widget.write(text)
    widget.expect_texts(text)
    widget.expect_state("sent")
    assert widget.thread_after(carols)
    assert shop.store.messages(carols) == [SECRET, "Our answer to Carol"]
    assert SECRET not in stored(widget)
    shop.complaints.forgiven.append(ENDED)


def test_the_next_user_to_sign_in_sees_nothing_of_the_previous_one(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    sign_in(backend, "dave")
    widget.page.goto(backend.page("/next"))
    widget.open()
    expect_own_conversation(widget, shop, thread, "Dave here")


def test_a_signed_in_user_can_sign_out_on_this_device(backend: Backend) -> None:
    widget = carol(backend)
    widget.panel.locator("#menu summary").click()
    with widget.page.expect_response("**/api/customer/sign-out"):
        widget.panel.get_by_role("button", name="Sign out on this device").click()
    expect(widget.panel.get_by_role("status")).to_have_text("You are signed out on this device.")
    expect(widget.panel.locator("#messages li")).to_have_count(0)


def test_after_sign_out_the_conversation_is_hidden(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    token = json.loads(stored(widget))
    backend.subject = None
    with widget.page.expect_response("**/api/customer/sign-out"):  # the panel may be loaded before it is opened
        widget.page.goto(backend.page("/next"))
        widget.open()
    assert "sbs_" not in stored(widget)
    assert "sbs_" in str(token)
    expect_own_conversation(widget, shop, thread, "A stranger here")


@pytest.mark.parametrize("says", ["<!doctype html><title>Sign in</title>", "", " ", "null", "a.b.c"])
def test_an_invalid_token_shows_no_conversation(says: str, shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    backend.says = says
    widget.page.goto(backend.page("/next"))
    widget.open()
    widget.write("A stranger here")
    widget.expect_texts("A stranger here")
    widget.expect_state("sent")
    assert widget.thread != thread
    assert shop.store.messages(thread) == [SECRET, "Our answer to Carol"]
    if says.strip():
        shop.complaints.forgive("The visitor is not verified")
    if says == "a.b.c":
        shop.complaints.forgive("status of 401")


def test_a_page_without_users_does_not_show_a_verified_conversation(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    widget.page.goto(backend.plain_page())
    widget.open()
    widget.write("A stranger here")
    widget.expect_texts("A stranger here")
    widget.expect_state("sent")
    assert widget.thread != thread


def test_a_failing_backend_hides_the_conversation_until_it_recovers(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    backend.fails = True
    widget.page.goto(backend.page("/next"))
    widget.open()
    expect(widget.panel.locator("#menu")).to_be_hidden()
    widget.wait_for("performance.getEntriesByName(location.origin + '/chat-token').length")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    backend.fails = False
    widget.page.goto(backend.page("/later"))
    widget.open()
    widget.expect_texts(SECRET, "Our answer to Carol")
    shop.complaints.forgive("status of 500")
    shop.complaints.forgive("the backend is down")


def test_identify_with_the_panel_open_switches_to_the_next_user(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    widget.panel.locator("#text").fill("Carol has not sent this")
    sign_in(backend, "dave")
    widget.page.evaluate("Shopbell('identify', { firstName: 'Dave' })")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    expect(widget.panel.locator("#text")).to_have_value("")
    expect_own_conversation(widget, shop, thread, "Dave here")
    assert shop.store.customer(thread)["firstName"] is None


def test_a_new_get_token_with_the_panel_open_switches_to_the_next_user(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    sign_in(backend, "dave")
    widget.page.evaluate("token => Shopbell('update', { getToken: () => token })", backend.token())
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    expect_own_conversation(widget, shop, thread, "Dave here")


def test_a_delayed_message_is_not_sent_as_the_next_user(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    widget.page.route("**/api/customer/messages", lambda route: route.abort("connectionfailed"))
    widget.write("Carol could not send this")
    widget.expect_state("waiting")
    assert "could not send" in stored(widget)
    sign_in(backend, "dave")
    widget.page.evaluate("Shopbell('identify', {})")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    assert "could not send" not in stored(widget)
    widget.page.unroute("**/api/customer/messages")
    expect_own_conversation(widget, shop, thread, "Dave here")
    shop.complaints.forgive("ERR_CONNECTION_FAILED")


def test_a_page_restored_from_the_browser_cache_checks_the_user_again(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    backend.subject = None
    panel_of(widget).evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    expect_own_conversation(widget, shop, thread, "A stranger here")


def test_one_user_shares_one_session_across_tabs(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    before = stored(widget)
    widget.page.evaluate("Shopbell('identify', {})")
    with widget.page.expect_response("**/api/customer/sessions"):
        widget.page.evaluate("Shopbell('identify', {})")
    tab = Widget(widget.page.context.new_page())
    tab.page.goto(backend.page("/tab"))
    tab.page.wait_for_selector("shopbell-widget", state="attached")
    tab.open()
    tab.expect_texts(SECRET, "Our answer to Carol")
    tokens = [
        next(value["session"]["token"] for name, value in kept.items() if name.endswith(":verified"))
        for kept in ({k: json.loads(v) for k, v in json.loads(text).items()} for text in (before, stored(tab)))
    ]
    assert tokens[0] == tokens[1]
    widget.write("from the first tab")
    tab.expect_texts(SECRET, "Our answer to Carol", "from the first tab")


def test_a_tab_of_the_previous_user_switches_to_the_user_signed_in_elsewhere(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    sign_in(backend, "dave")
    tab = Widget(widget.page.context.new_page())
    tab.page.goto(backend.page("/tab"))
    tab.page.wait_for_selector("shopbell-widget", state="attached")
    tab.open()
    tab.write("Dave here")
    tab.expect_state("sent")
    widget.expect_texts("Dave here")
    widget.write("Dave in the first tab")
    tab.expect_texts("Dave here", "Dave in the first tab")
    assert shop.store.messages(thread) == [SECRET, "Our answer to Carol"]
    shop.complaints.forgiven.append("status of 401")


def test_a_tab_without_a_user_leaves_the_signed_in_tab_alone(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    tab = Widget(widget.page.context.new_page())
    tab.page.goto(backend.plain_page())
    tab.page.wait_for_selector("shopbell-widget", state="attached")
    tab.open()
    tab.write("Who am I?")
    tab.expect_texts("Who am I?")
    tab.expect_state("sent")
    widget.write("Carol again")
    widget.expect_texts(SECRET, "Our answer to Carol", "Carol again")
    widget.expect_state("sent")
    assert shop.store.messages(thread) == [SECRET, "Our answer to Carol", "Carol again"]


def test_messages_from_before_sign_in_are_kept(shop: Shop, backend: Backend) -> None:
    backend.subject = None
    widget = shop.visit(backend.page())
    widget.open()
    widget.write("Before signing in")
    widget.expect_state("sent")
    sign_in(backend, "carol")
    widget.page.evaluate("Shopbell('identify', {})")
    expect(widget.panel.locator("#cards form")).to_have_count(0)
    widget.expect_texts("Before signing in")
    widget.write("Signed in")
    widget.expect_texts("Before signing in", "Signed in")
    kept = [name for name in json.loads(stored(widget)) if not name.endswith(":verified")]
    assert kept == []


def test_an_unsent_message_of_a_known_user_survives_a_reload_and_stays_theirs(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    thread = widget.thread
    widget.page.route("**/api/customer/messages", lambda route: route.abort("connectionfailed"))
    widget.write("Later")
    widget.expect_state("waiting")
    widget.page.unroute("**/api/customer/messages")
    widget.page.goto(backend.page("/next"))
    widget.open()
    widget.expect_texts(SECRET, "Our answer to Carol", "Later")
    widget.expect_state("sent")
    assert shop.store.messages(thread) == [SECRET, "Our answer to Carol", "Later"]
    shop.complaints.forgive("ERR_CONNECTION_FAILED")


def test_a_failed_token_request_is_retried(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    failed: list[str] = []

    def fail_once(route: Route) -> None:
        if failed:
            return route.fallback()
        failed.append(route.request.url)
        return route.fulfill(status=503, body="{}")

    widget.page.route("**/api/customer/sessions", fail_once)
    widget.page.goto(backend.page("/next"))
    widget.open()
    widget.expect_texts(SECRET, "Our answer to Carol")
    assert failed
    shop.complaints.forgive("status of 503")


def test_a_late_response_after_reset_does_not_restore_the_user(shop: Shop, backend: Backend) -> None:
    widget = carol(backend)
    held: list[Route] = []
    widget.page.route("**/api/customer/sessions", lambda route: held.append(route))
    with widget.page.expect_request("**/api/customer/sessions"):
        widget.page.evaluate("Shopbell('identify', {})")
    with widget.page.expect_response("**/api/customer/sign-out"):  # ends the stored session
        widget.page.evaluate("Shopbell('identify', {}); Shopbell('reset')")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    with widget.page.expect_response("**/api/customer/sign-out"):  # ends the session that arrives late
        held[0].continue_()
    widget.page.unroute("**/api/customer/sessions")
    assert "sbs_" not in stored(widget)
    expect(widget.panel.locator("#menu")).to_be_hidden()
    assert len(held) == 1
    backend.subject = None
    widget.write("A stranger here")
    widget.expect_texts("A stranger here")
    widget.expect_state("sent")


def test_reset_forgets_every_business_and_the_visitors_details(shop: Shop) -> None:
    key = shop.store.key(shop.site.origin)
    widget = shop.visit(shop.page(shop.tag(key, business=str(shop.demo.facts["businessIds"][1]))))
    widget.open()
    widget.write("To the other business")
    widget.expect_state("sent")
    widget.page.goto(shop.page(shop.tag(key), path="/next"))
    widget.page.evaluate("Shopbell('identify', { firstName: 'Carol' })")
    widget.open()
    widget.write(SECRET)
    widget.expect_state("sent")
    thread = widget.thread
    assert shop.store.customer(thread)["firstName"] == "Carol"
    widget.panel.locator("#text").fill("half written")
    widget.page.evaluate("Shopbell('reset')")
    expect(widget.panel.locator("#text")).to_have_value("")
    assert "sbs_" not in stored(widget)
    widget.page.evaluate("Shopbell('update', { locale: 'fr' })")  # the panel is loaded again
    widget.panel.locator("#text").fill("Somebody else")
    widget.panel.locator("#text").press("Enter")
    widget.expect_state("sent")
    assert shop.store.customer(widget.thread_after(thread))["firstName"] is None


@pytest.mark.parametrize("claims", [{"phone_number": "555 0123"}, {"email": "nobody"}, {"sub": 5_000_000_001}])
def test_an_invalid_claim_does_not_prevent_sign_in(claims: dict[str, object], shop: Shop, backend: Backend) -> None:
    backend.claims = claims
    widget = carol(backend)
    expect(widget.panel.locator("#contact")).to_have_count(0)
    if "sub" not in claims:
        shop.complaints.forgive(f"ignored: {next(iter(claims))}")


def test_a_token_with_a_line_break_is_accepted(shop: Shop, backend: Backend) -> None:
    backend.says = f"\n{backend.token()}\r\n"
    widget = carol(backend)
    expect(widget.panel.locator("#contact")).to_have_count(0)


def test_an_invalid_profile_field_does_not_prevent_sign_in(shop: Shop) -> None:
    widget = shop.visit(shop.page())
    widget.page.evaluate("Shopbell('identify', { email: 'nobody', phoneNumber: '-', firstName: 'Carol' })")
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    assert shop.store.customer(widget.thread)["firstName"] == "Carol"
    shop.complaints.forgive("status of 400")
    shop.complaints.forgive("identify: Field")


def test_users_can_sign_in_without_browser_storage(shop: Shop, backend: Backend) -> None:
    blocked = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no') } })"
    widget = shop.visit(backend.page(), script=blocked)
    widget.open()
    widget.write(SECRET)
    widget.expect_state("sent")
    sign_in(backend, "dave")
    widget.page.evaluate("Shopbell('identify', {})")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    widget.write("Dave here")
    widget.expect_texts("Dave here")
    shop.complaints.forgiven.append(ENDED)


def test_the_form_of_a_backend_site_forgets_the_previous_users_address(shop: Shop) -> None:
    tag = f'<script async src="{shop.demo.url}/widget.js" data-endpoint="/contact/message"></script>'
    widget = shop.visit(shop.page(tag, policy=""))
    widget.page.evaluate("Shopbell('identify', { email: 'carol@customers.example', phoneNumber: '+15551234567' })")
    widget.open()
    expect(widget.panel.locator("#email")).to_have_value("carol@customers.example")
    widget.page.evaluate("Shopbell('identify', { email: 'dave@customers.example' })")
    expect(widget.panel.locator("#email")).to_have_value("dave@customers.example")
    expect(widget.panel.locator("#phone")).to_have_value("")
    widget.panel.locator("#email").fill("typed@customers.example")
    widget.page.evaluate("Shopbell('identify', { email: 'carol@customers.example', phoneNumber: '1' })")
    expect(widget.panel.locator("#phone")).to_have_value("1")
    expect(widget.panel.locator("#email")).to_have_value("typed@customers.example")


def test_a_visitor_who_never_signed_in_cannot_sign_out(shop: Shop) -> None:
    widget = shop.visit(shop.page())
    widget.open()
    widget.write("Hello")
    widget.expect_state("sent")
    widget.panel.locator("#menu summary").click()
    expect(widget.panel.get_by_role("button", name="Download the conversation")).to_be_visible()
    expect(widget.panel.locator("#sign-out")).to_be_hidden()
