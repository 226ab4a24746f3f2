"""The messages of a conversation in the inbox: where they begin, older ones above, new ones below."""

from playwright.sync_api import Page, expect
from test_inbox_conversations import call_as, is_sent, opened, says, write
from test_inbox_conversations import desk as desk

from harness.inbox_desk import Desk
from harness.late import settle

COLLECT_SPOKEN = """
    window.spoken = []
    const log = document.querySelector("[role=log]")
    new MutationObserver(changes => {
        const added = changes.flatMap(each => [...each.addedNodes]).filter(each => each.matches(".msg"))
        if (log.ariaLive !== "off") spoken.push(...added.map(each => each.querySelector(".text").innerText))
    }).observe(log.firstElementChild, { childList: true })
"""


def write_many(desk: Desk, count: int) -> tuple[str, str]:
    """Let a customer write "Message 1." and so on; returns the id of the conversation and their email address."""
    email = desk.shop.somebody()
    threads = [desk.write(f"Message {number}.", email=email) for number in range(1, count + 1)]
    return threads[0], email


def opened_when_read(desk: Desk, thread: str, sequence: int) -> Page:
    """Open a conversation that the employee has read up to a message."""
    alice = desk.hire()
    call_as(alice, "/api/inbox/read", {"customerThreadId": thread, "sequence": sequence})
    return opened(desk, alice, thread)


def test_a_conversation_opens_at_its_first_unread_message(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Message 0", email=email)
    for number in range(1, 70):
        desk.write(f"Message {number}", email=email)
    page = opened_when_read(desk, thread, 40)
    expect(page.locator(".day.fresh")).to_be_in_viewport()
    expect(page.locator(".log .text", has_text="Message 40")).to_be_in_viewport()
    expect(page.locator(".log .text", has_text="Message 69")).not_to_be_in_viewport()


def test_older_messages_load_above_and_what_is_read_stays_in_its_place(desk: Desk) -> None:
    thread, _ = write_many(desk, 120)
    page = opened_when_read(desk, thread, 120)
    says(page, "Message 120.")
    expect(page.locator(".log .text", has_text="Message 120.")).to_be_in_viewport()
    expect(page.locator(".msg")).to_have_count(50)
    box = page.locator(".scroll")
    top = "box => [...box.querySelectorAll('.text')].find(each => each.innerText === 'Message 80.').offsetTop"
    before = box.evaluate(f"box => {{ box.scrollTop = 300; return ({top})(box) - 300 }}")
    expect(page.locator(".msg")).to_have_count(100)
    assert abs(box.evaluate(f"box => ({top})(box) - box.scrollTop") - before) <= 1
    box.evaluate("box => { box.scrollTop = 0 }")
    expect(page.locator(".msg")).to_have_count(120)


# A response arrives at the moment at which the employee scrolls, before the browser reports the scroll.
SCROLL_WITH_NEXT_RESPONSE = """() => {
    const read = Response.prototype.json
    Response.prototype.json = async function () {
        const content = await read.call(this)
        if (this.url.includes("/api/inbox/threads/")) document.querySelector(".scroll").scrollTop = 700
        return content
    }
}"""


def test_a_message_that_arrives_while_the_employee_scrolls_up_does_not_take_them_back_to_the_end(desk: Desk) -> None:
    thread, email = write_many(desk, 50)
    page = opened_when_read(desk, thread, 50)
    expect(page.locator(".log .text", has_text="Message 50.")).to_be_in_viewport()
    page.evaluate(SCROLL_WITH_NEXT_RESPONSE)
    desk.write("Message 51.", email=email)
    expect(page.get_by_role("button", name="1 new message")).to_be_visible()
    assert page.locator(".scroll").evaluate("box => box.scrollTop") == 700


COLLECT_BELOW = """
    window.below = []
    const reading = document.querySelector(".reading")
    new MutationObserver(() => {
        const button = reading.querySelector(".below")
        if (button) below.push(button.innerText)
    }).observe(reading, { childList: true })
"""
"""The page notes when the button that leads to new messages is there."""


def test_a_reply_that_becomes_shorter_when_it_is_sent_is_no_new_message(desk: Desk) -> None:
    (thread, _), alice = write_many(desk, 50), desk.hire()
    desk.reply(thread, "Yes.", employeeUserId=str(alice.id))
    page = opened(desk, alice, thread, "open")
    page.evaluate(COLLECT_BELOW)
    write(page, "And yes.")
    page.keyboard.press("Control+Enter")
    is_sent(page, "And yes.")  # as the second message of its author, it has no heading any more
    settle(page)
    assert page.evaluate("below") == []


def test_screen_readers_read_out_new_messages_but_no_older_ones(desk: Desk) -> None:
    thread, email = write_many(desk, 55)
    page = opened_when_read(desk, thread, 55)
    says(page, "Message 55.")
    page.evaluate(COLLECT_SPOKEN)
    page.locator(".scroll").evaluate("box => { box.scrollTop = 0 }")
    expect(page.locator(".msg")).to_have_count(55)
    expect(page.locator(".scroll")).not_to_have_attribute("aria-live", "off")
    desk.write("Message 56.", email=email)
    says(page, "Message 56.")
    assert page.evaluate("spoken") == ["Message 56."]


def test_what_happened_loads_with_the_older_messages_and_stays(desk: Desk) -> None:
    email = desk.shop.somebody()
    thread = desk.write("Message 1.", email=email)
    desk.set_status(thread, "resolved")
    for number in range(2, 71):
        desk.write(f"Message {number}.", email=email)
        if number in (20, 21, 40):
            desk.set_status(thread, "resolved")
    page = opened_when_read(desk, thread, 70)
    line, between = (
        page.locator(".did", has_text="Resolved"),
        "each => each.map(e => e.previousElementSibling.innerText)",
    )
    expect(line).to_have_count(2)
    page.locator(".scroll").evaluate("box => { box.scrollTop = 0 }")
    expect(page.locator(".msg")).to_have_count(70)
    after = [text.split("\n")[-1] for text in line.evaluate_all(between)]
    assert after == ["Message 1.", "Message 20.", "Message 21.", "Message 40."]
    desk.write("Message 71.", email=email)  # the server now sends one older message less, and what came after it
    says(page, "Message 71.")
    expect(line).to_have_count(4)
