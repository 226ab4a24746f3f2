"""Sites with their own backend or with verified visitors."""

import json
import time
import uuid

from playwright.sync_api import expect

from harness.backend import Backend
from harness.host_site import Asked, HostPage
from harness.widget import Shop

JSON_HEADERS = {"Content-Type": "application/json"}


def answering(status: int, body: object) -> HostPage:
    """A response of the site's backend."""
    return HostPage(json.dumps(body).encode(), JSON_HEADERS, status)


def test_a_site_sends_through_its_own_backend(shop: Shop) -> None:
    got: list[Asked] = []

    def contact(asked: Asked) -> HostPage:
        got.append(asked)
        body = json.loads(asked.body)
        if "@" not in body["email"]:
            return answering(400, {"errors": {"email": "This is not an e-mail address."}})
        return answering(200, {"result": "ok"})

    shop.site.answers["/contact/message"] = contact
    tag = f'<script async src="{shop.demo.url}/widget.js" data-endpoint="/contact/message"></script>'
    widget = shop.visit(shop.page(tag, policy=shop.strict_policy + "; connect-src 'self'"))
    widget.open()
    widget.panel.get_by_role("button", name="Send").click()
    expect(widget.panel.get_by_label("Your message")).to_be_focused()
    expect(widget.panel.locator("#message-fault")).to_have_text("Please enter a message.")
    widget.panel.get_by_label("Your message").fill("Is it open on Monday?")
    widget.panel.get_by_label("Your email address").fill("nobody")
    widget.panel.get_by_role("button", name="Send").click()
    expect(widget.panel.get_by_label("Your email address")).to_be_focused()
    expect(widget.panel.locator("#email-fault")).to_have_text("This is not an e-mail address.")
    widget.panel.get_by_label("Your email address").fill("dave@customers.example")
    widget.panel.get_by_role("button", name="Send").click()
    expect(widget.panel.get_by_role("status")).to_have_text("Thank you. We have received your message.")
    sent = json.loads(got[-1].body)
    written = {"message": "Is it open on Monday?", "email": "dave@customers.example", "phone": ""}
    form = json.loads(got[0].body)["clientMessageId"]
    assert sent == written | {"clientMessageId": str(uuid.UUID(form))}  # every attempt has the id of the same form
    assert got[-1].headers["sec-fetch-site"] == "same-origin"
    shop.complaints.forgive("status of 400")


def test_a_failing_backend_loses_nothing_that_was_typed(shop: Shop) -> None:
    shop.site.answers["/contact/message"] = lambda _: HostPage(b"down", {"Content-Type": "text/plain"}, 502)
    tag = f'<script async src="{shop.demo.url}/widget.js" data-endpoint="/contact/message"></script>'
    widget = shop.visit(shop.page(tag, policy=""))
    widget.open()
    widget.panel.get_by_label("Your message").fill("Is it open on Monday?")
    widget.panel.get_by_role("button", name="Send").click()
    expect(widget.panel.locator("#form-fault")).to_have_text("Something went wrong. Please try again.")
    expect(widget.panel.get_by_label("Your message")).to_have_value("Is it open on Monday?")
    shop.complaints.forgive("status of 502")


def test_a_verified_visitor_is_known_and_asked_for_nothing(shop: Shop) -> None:
    backend = Backend(shop)
    widget = shop.visit(backend.page())
    assert backend.asked == 0
    widget.open()
    widget.write("It is me")
    widget.expect_state("sent")
    assert backend.asked == 1
    expect(widget.panel.locator("#contact")).to_have_count(0)
    thread = widget.thread
    elsewhere = shop.visit(backend.page("/elsewhere"))  # another browser, the same customer
    elsewhere.open()
    elsewhere.expect_texts("It is me")
    elsewhere.write("on my phone")
    elsewhere.expect_state("sent")
    assert elsewhere.thread == thread
    widget.expect_texts("It is me", "on my phone")


def test_an_expired_token_is_requested_again(shop: Shop) -> None:
    backend = Backend(shop)
    backend.lives_s = -3_600
    widget = shop.visit(backend.page())
    widget.open()
    shop.complaints.forgive("The visitor is not verified: Field 'identityToken' has expired")  # the second one, too
    assert backend.asked == 2
    backend.lives_s = 600
    widget.write("Now it is good")
    widget.expect_state("sent")
    assert backend.asked == 3
    expect(widget.panel.locator("#contact")).to_have_count(0)
    shop.complaints.forgive("status of 401")


def test_signing_out_of_the_site_leaves_nothing_for_the_next_user(shop: Shop) -> None:
    backend = Backend(shop)
    widget = shop.visit(backend.page())
    widget.open()
    widget.write("A secret")
    widget.expect_state("sent")
    widget.page.evaluate("Shopbell('reset')")
    expect(widget.panel.locator("#messages li")).to_have_count(0)
    backend.subject = f"dave-{time.time_ns()}"
    widget.page.goto(backend.page("/next"))
    widget.open()
    widget.write("Somebody else")
    widget.expect_texts("Somebody else")
