"""The inbox through the client and a real server."""

from collections.abc import Callable, Iterator

import pytest

from harness import session
from harness.inbox import catch_up
from harness.shop import Shop
from shopbell.runtime.clock import now_ms
from shopbell_client import Conflict, NotFound, Shopbell, ThreadFilter, ValidationFailed

HOUR_MS = 60 * 60 * 1_000


@pytest.fixture
def shop(engine: str, shops: Callable[..., Shop]) -> Shop:
    """A server whose feeds only the tests consume; it stores attachments in a folder."""
    folder = f"file://{session.folder()}/inbox-files-{engine}"
    return shops(engine, run_worker="false", visitor_rate_per_min=100_000, attachments_url=folder)


@pytest.fixture
def bot(shop: Shop) -> Iterator[Shopbell]:
    """Acme's bot."""
    with Shopbell(shop.server.url, shop.world.token) as client:
        yield client


@pytest.fixture
def alice(bot: Shopbell) -> str:
    """The id of an employee."""
    return bot.create_employee("Alice").id


def test_waiting_conversations_are_listed_counted_and_opened(shop: Shop, bot: Shopbell, alice: str) -> None:
    first, second = shop.send(message="Where is my bell?"), shop.send()
    bot.assign_thread(first, alice)
    before = bot.inbox_counts().views
    catch_up(shop)
    counts = bot.inbox_counts(employee_user_id=alice)
    assert counts.views.needs_reply >= before.needs_reply + 2
    assert (counts.views.mine, counts.views.mentions) == (1, 0)
    assert shop.world.boston in {each.business_id for each in counts.businesses}
    (mine,) = bot.inbox_threads("mine", employee_user_id=alice)
    assert (mine.id, mine.preview, mine.unread, mine.assignee_user_id) == (first, "Where is my bell?", True, alice)
    listed = [each.id for each in bot.inbox_threads("unassigned", page_size=1)]
    assert (second in listed, first in listed) == (True, False)
    assert {each.id for each in bot.inbox_threads(thread_ids=[first, second])} == {first, second}
    opened = bot.open_inbox_thread(first, employee_user_id=alice)
    assert (opened.thread, opened.messages[0].text) == (mine, "Where is my bell?")
    assert [activity.type for activity in opened.activities] == ["assignment"]
    assert opened.customer is not None
    assert opened.customer.id == mine.customer_id
    with pytest.raises(ValidationFailed):
        list(bot.inbox_threads("mine"))
    with Shopbell(shop.server.url, shop.world.globex_token) as stranger, pytest.raises(NotFound):
        stranger.open_inbox_thread(first)


def test_a_conversation_is_started_once(shop: Shop, bot: Shopbell) -> None:
    key = shop.somebody()
    first, again = (
        bot.start_conversation(
            shop.world.boston, "Your bell is ready.", email=key, first_name="Carol", idempotency_key=key
        )
        for _ in range(2)
    )
    assert (again.thread_id, again.message_id) == (first.thread_id, first.message_id)
    assert (first.replayed, again.replayed) == (False, True)
    assert [str(message["id"]) for message in shop.messages(first.thread_id)] == [first.message_id]
    assert bot.customer_profile(bot.thread_details(first.thread_id).customer_id).first_name == "Carol"


def test_a_program_suggests_a_draft_and_an_employee_takes_it_over(shop: Shop, bot: Shopbell, alice: str) -> None:
    thread_id = shop.send()
    file = bot.upload_attachment("prices.txt", b"1 bell: 20")
    saved = bot.save_draft(thread_id, "It is ready.", attachment_ids=[file.id])
    suggested = next(iter(bot.drafts()))
    assert (suggested.id, suggested.by_program, suggested.attachments[0].id) == (saved.id, True, file.id)
    (shown,) = bot.open_inbox_thread(thread_id).drafts
    assert (shown.id, shown.text, shown.attachments[0].id) == (saved.id, "It is ready.", file.id)
    taken = bot.take_over_draft(suggested.id, alice)
    assert (taken.text, taken.employee_user_id) == ("It is ready.", alice)
    with pytest.raises(NotFound):
        bot.take_over_draft(suggested.id, alice)
    assert [draft.id for draft in bot.drafts(employee_user_id=alice)] == [taken.id]
    bot.delete_draft(taken.id, employee_user_id=alice)
    assert list(bot.drafts(employee_user_id=alice)) == []
    assert bot.save_draft(thread_id, "", mode="note", employee_user_id=alice).id is None


def test_a_conversation_is_snoozed_until_the_snooze_is_ended(shop: Shop, bot: Shopbell) -> None:
    thread_id, until_ms = shop.send(), now_ms() + HOUR_MS
    bot.snooze_thread(thread_id, until_ms, keep=True)
    assert bot.open_inbox_thread(thread_id).thread.snoozed_until_ms == until_ms
    bot.unsnooze_thread(thread_id)
    assert bot.open_inbox_thread(thread_id).thread.snoozed_until_ms is None
    with pytest.raises(ValidationFailed):
        bot.snooze_thread(thread_id, 1)


def test_tags_are_created_set_changed_and_deleted(shop: Shop, bot: Shopbell) -> None:
    thread_id, name = shop.send(), shop.somebody().partition("@")[0][:40]
    tag = bot.create_tag(name, color="#8F4F00")
    assert (tag.color, tag in list(bot.tags(page_size=1))) == ("#8f4f00", True)
    with pytest.raises(Conflict):
        bot.create_tag(name)
    bot.set_thread_tags(thread_id, add=[tag.id])
    assert bot.open_inbox_thread(thread_id).thread.tag_ids == (tag.id,)
    with pytest.raises(ValidationFailed):
        bot.set_thread_tags(thread_id, add=[tag.id], remove=[tag.id])
    bot.update_tag(tag.id, color="")
    assert next(each.color for each in bot.tags() if each.id == tag.id) is None
    bot.delete_tag(tag.id)
    assert bot.open_inbox_thread(thread_id).thread.tag_ids == ()


def test_saved_replies_are_created_changed_and_deleted(shop: Shop, bot: Shopbell) -> None:
    shortcut = shop.somebody().partition("@")[0][:30]
    made = bot.create_saved_reply(shortcut, "Repairs", "Dear {{first_name}}", business_id=shop.world.boston)
    assert made in list(bot.saved_replies(business_id=shop.world.boston))
    bot.update_saved_reply(made.id, title="All repairs", all_businesses=True)
    (changed,) = [each for each in bot.saved_replies(page_size=1) if each.id == made.id]
    assert (changed.title, changed.business_id, changed.text) == ("All repairs", None, made.text)
    bot.delete_saved_reply(made.id)
    assert made.id not in {each.id for each in bot.saved_replies()}
    with pytest.raises(ValidationFailed):
        bot.create_saved_reply(shortcut, "Repairs", "Dear {{name}}")


def test_many_conversations_are_changed_and_the_change_undone(shop: Shop, bot: Shopbell, alice: str) -> None:
    threads = [shop.send(businessId=shop.world.nowhere) for _ in range(3)]
    done = bot.change_threads("status", threads, status="resolved")
    assert (done.changed, done.unchanged, done.failed) == (3, 0, ())
    assert {shop.thread(thread_id)["status"] for thread_id in threads} == {"resolved"}
    undone = bot.undo_action(done.action_id)
    assert (undone.reversed, undone.skipped_threads) == (3, ())
    assert {shop.thread(thread_id)["status"] for thread_id in threads} == {"waiting"}
    catch_up(shop)
    some = ThreadFilter(view="unassigned", business_id=shop.world.nowhere)
    assert bot.change_threads("assign", some, assignee_user_id=alice).changed >= 3
    assert bot.change_threads("assign", threads, assignee_user_id=None).changed == 3
    moved = bot.change_threads("transfer", threads[:1], business_id=shop.world.paris)
    assert (moved.changed, shop.thread(threads[0])["business_id"]) == (1, int(shop.world.paris))
    resolved = bot.change_threads("status", threads[1:2], status="resolved")
    refused = bot.change_threads("snooze", threads[1:2], until_ms=now_ms() + HOUR_MS)
    assert (resolved.changed, refused.failed_count, refused.failed[0].thread_id) == (1, 1, threads[1])


def test_a_message_is_scheduled_changed_and_cancelled(shop: Shop, bot: Shopbell) -> None:
    thread_id, at_ms = shop.send(), now_ms() + HOUR_MS
    scheduled = bot.schedule_message(thread_id, "It is ready.", send_at_ms=at_ms, resolve=True)
    (listed,) = bot.scheduled_messages(thread_id=thread_id)
    assert (listed.id, listed.send_at_ms, listed.state, listed.resolve) == (scheduled.id, at_ms, "scheduled", True)
    changed = bot.update_scheduled_message(scheduled.id, text="It is ready now.", resolve=False)
    assert (changed.text, changed.send_at_ms, changed.resolve) == ("It is ready now.", at_ms, False)
    cancelled = bot.cancel_scheduled_message(scheduled.id)
    assert (cancelled.text, cancelled.state) == ("It is ready now.", "cancelled")
    with pytest.raises(Conflict):
        bot.update_scheduled_message(scheduled.id, text="Too late")
    with pytest.raises(ValidationFailed):
        bot.schedule_message(thread_id, "Without a time")
