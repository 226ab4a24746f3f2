"""No customer or employee text runs as a script in a conversation."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from hostile import (
    WITH_AND_WITHOUT_POLICY,
    Hostile,
    as_it_was_sent,
    hostile_talk,
    in_frames,
    keep_up,
    opened,
    page_opened,
    shown_in_place,
)
from payloads import Payload, naive_page, payloads
from playwright.sync_api import Browser, FrameLocator, Page, expect
from witness import Witness, witness

from harness.host_site import HostPage, HostSite

PAYLOADS = payloads()
LAST = 200
TEXTS = "nodes => nodes.map(node => node.textContent)"
HEADINGS = """
() => [...document.querySelectorAll('iframe')].map(({ contentDocument }) =>
  [...contentDocument.querySelectorAll('h1')].map(({ textContent }) => textContent))
"""


@pytest.fixture(scope="module")
def hostile(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hostile]:
    """The visitor's page is open, and every payload was sent.

    Each as a message of each side, an employee's name and a file name.
    """
    with hostile_talk(browser, tmp_path_factory.mktemp("hostile")) as made:
        write(made)
        yield made


def write(hostile: Hostile) -> None:
    """Send each payload from both sides, and use it as file name and employee name."""

    def upload(payload: Payload) -> str:
        name = payload.line.replace("/", " ")  # only the last part of a path would be kept
        file = {"file": (name, f"fired({payload.number})".encode(), "text/html")}
        return str(hostile.post("/api/customer/attachments", files=file)["attachmentId"])

    def employ(payload: Payload) -> str:
        employee = {"name": payload.word, "email": f"employee{payload.number}@shop.example"}
        return str(hostile.call("POST", "/api/employees", json=employee)["id"])

    with ThreadPoolExecutor(4) as pool:  # their order does not matter; that of the messages does
        made = pool.map(upload, PAYLOADS), pool.map(employ, PAYLOADS)
        for count, (payload, attachment, employee) in enumerate(zip(PAYLOADS, *made, strict=True)):
            if count % 50 == 0:
                keep_up(hostile.page, 1 + 2 * count)
            message = {"text": payload.text, "attachmentId": attachment, "clientMessageId": str(uuid.uuid4())}
            hostile.post("/api/customer/messages", json=message)
            reply = {"customerThreadId": hostile.thread, "text": payload.text, "employeeUserId": employee}
            hostile.call("POST", "/api/send-message-to-customer-thread", json=reply)


def check(seen: Witness, page: Page, region: Page | FrameLocator, said: list[dict[str, Any]]) -> None:
    """Check that all payloads are shown as text and that none ran."""
    texts, names, files = (region.locator(f"#messages .{what}").evaluate_all(TEXTS) for what in ("text", "who", "file"))
    assert texts == [message["text"] for message in said]
    numbers = [(message["sequence"] - 2) // 2 for message in said if message["sequence"] > 1]
    of_employees = {PAYLOADS[number].word for number in numbers[1:-1]}
    assert of_employees <= set(names)
    assert len(files) >= len(said) // 2 - 1
    assert sum("fired" in file for file in files) > len(files) / 2
    seen.touch(page)
    assert seen.foreign(page) == []
    seen.expect_nothing()


def test_control_the_payloads_run_without_escaping(browser: Browser, host_site: HostSite) -> None:
    assert len({payload.text for payload in PAYLOADS}) >= 400
    for payload in PAYLOADS:
        headers = {"Content-Type": "text/html; charset=utf-8"}
        host_site.pages[f"/{payload.number}"] = HostPage(naive_page(payload).encode(), headers)
    with witness(browser, bypass_csp=True) as seen:
        for some in in_frames([f"/{payload.number}" for payload in PAYLOADS]):
            seen.open(host_site.page("/all", some)).close()
        assert len(seen.fired) >= 350


def test_control_a_policy_violation_is_detected(browser: Browser, host_site: HostSite) -> None:
    payload = PAYLOADS[0]
    with witness(browser, bypass_csp=False) as seen:
        seen.open(host_site.page("/", naive_page(payload), policy="default-src 'self'"))
        assert seen.refused
    with witness(browser, bypass_csp=True) as seen:
        page = seen.open(host_site.page("/", naive_page(payload), policy="default-src 'self'"))
        assert seen.foreign(page)
        assert seen.fired == {payload.number}


def test_the_widget_shows_all_payloads_live(hostile: Hostile) -> None:
    panel = hostile.page.frame_locator("shopbell-widget iframe")
    expect(panel.locator("#messages li[data-message-id]")).to_have_count(1 + 2 * len(PAYLOADS))
    check_panel(hostile.live, hostile.page, hostile)


@WITH_AND_WITHOUT_POLICY
def test_the_widget_shows_all_payloads_when_reopened(bypass_csp: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp, storage_state=hostile.storage) as seen:
        page = seen.context.new_page()
        page.goto(f"{hostile.demo.url}/demo")
        panel = opened(page)
        expect(panel.locator("#messages li[data-message-id]")).to_have_count(1 + 2 * len(PAYLOADS))
        check_panel(seen, page, hostile)


def check_panel(seen: Witness, page: Page, hostile: Hostile) -> None:
    """Like ``check``, but for the widget's panel."""
    said = hostile.said()
    assert [message["text"] for message in said] == ["Hello", *(each.text for each in PAYLOADS for _ in "12")]
    check(seen, page, page.frame_locator("shopbell-widget iframe"), said)


@pytest.mark.parametrize("scripts", [True, False], ids=["live", "as-it-was-sent"])
@WITH_AND_WITHOUT_POLICY
def test_the_page_shows_all_payloads(bypass_csp: bool, scripts: bool, hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=bypass_csp) as seen:
        page = page_opened(seen, hostile)
        if not scripts:  # scripts of the page: injected ones could still run
            page.route("**/*.js*", lambda route: route.fulfill(content_type="text/javascript", body=""))
        said = hostile.said()
        for end in range(LAST, len(said) + LAST, LAST):  # the page shows the last messages only
            with hostile.without_what_came_after(end):
                page.reload()
                check(seen, page, page, said[end - LAST : end] if end <= len(said) else said[-LAST:])


def test_the_transcript_is_plain_text(hostile: Hostile, browser: Browser) -> None:
    with witness(browser, bypass_csp=True) as seen:
        page = page_opened(seen, hostile)
        transcript = f"{page.url}/transcript"
        # Even if a browser is told to show it inline.
        seen.context.route("**/transcript", shown_in_place)
        shown = seen.open(transcript)
        assert shown.evaluate("document.contentType") == "text/plain"
        text = str(shown.locator("body").text_content())
        assert all(text.count(payload.text) >= 2 for payload in PAYLOADS)
        seen.expect_nothing()


def test_no_business_name_runs_a_script(hostile: Hostile, browser: Browser, host_site: HostSite) -> None:
    business, names = hostile.demo.business, [payload for payload in PAYLOADS if " tabindex=0 on" not in payload.text]
    assert len(names) >= 300
    key = hostile.call("POST", "/api/publishable-keys", json={"allowedOrigins": [hostile.demo.url]})["key"]
    link, page = (httpx2.URL(hostile.link(hostile.thread)).path for _ in ("shown", "spent"))
    with httpx2.Client(base_url=hostile.demo.url, trust_env=False, timeout=30) as client:
        client.post(page, headers={"Origin": hostile.demo.url})
        other, theirs = f"/widget/panel?key={key}&business={business}", f"/c/{hostile.thread}"
        assert client.get(theirs).status_code == 200
        for payload in names:
            hostile.call("POST", f"/api/businesses/{business}/update", json={"name": payload.line})
            # A visitor who has not opened the conversation yet sees a link.
            for kind, asking, path in (("link", hostile.client, link), ("panel", client, other)):
                host_site.pages[f"/{kind}/{payload.number}"] = as_it_was_sent(asking.get(path))
    framed = 0
    with witness(browser, bypass_csp=True) as seen:
        for some in in_frames([path for path in host_site.pages if path.startswith(("/link/", "/panel/"))]):
            shown = seen.open(host_site.page("/all", some))
            assert seen.foreign(shown) == []
            headings = shown.evaluate(HEADINGS)
            assert len(headings) == len(shown.frames) - 1
            assert all(len(each) == 1 and each[0] for each in headings)
            framed += len(headings)
            shown.close()
        seen.expect_nothing()
    assert framed == 2 * len(names)
