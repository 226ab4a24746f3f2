"""A long conversation in the widget's panel."""

from playwright.sync_api import expect

from harness.widget import Shop

MESSAGES = 300
# If something was added since it was last read, reading it computes the layout again.
COUNT_LAYOUTS = """
window.layouts = 0
const { get } = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollHeight')
Object.defineProperty(Element.prototype, 'scrollHeight', { get() { layouts++; return get.call(this) } })
"""


def lengthen(shop: Shop, thread_id: str) -> None:
    """Let a conversation of one message have many."""
    shop.demo.installation.database.change(
        "INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)"
        " WITH RECURSIVE s(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM s WHERE i < :last)"
        " SELECT organization_id, thread_id, i, 4000000000000000 + i, i % 2, 'Message ' || i || '.', created_at_ms"
        " FROM messages, s WHERE thread_id = :id AND sequence = 1",
        last=MESSAGES,
        id=int(thread_id),
    )
    set_length = "UPDATE threads SET last_sequence = :last WHERE id = :id"
    shop.demo.installation.database.change(set_length, last=MESSAGES, id=int(thread_id))


def test_a_long_history_is_not_laid_out_again_for_each_message(shop: Shop) -> None:
    widget = shop.visit(script=COUNT_LAYOUTS)
    widget.open()
    widget.write("Message 1.")
    widget.expect_state("sent")
    lengthen(shop, widget.thread)
    widget.page.reload()
    panel = widget.open()
    expect(panel.locator("#messages .text")).to_have_count(MESSAGES)
    expect(panel.locator("#messages .text").last).to_be_in_viewport()
    assert panel.locator("html").evaluate("() => layouts") < MESSAGES
