"""Answers reach customers by mail: one mail for several, none for what was read, each with a record."""

from harness.post import Post


def test_an_answer_is_mailed_to_the_customer_and_recorded(post: Post) -> None:
    carol = post.shop.somebody()
    thread_id = post.shop.send(user={"email": carol})
    post.mails.wait_for(1)  # the invitation
    message_id = post.reply(thread_id, "Your bicycle is ready.")
    mail = post.mails.wait_for(2)[1]
    assert mail.recipients == (carol,)
    assert "Your bicycle is ready." in mail.message.get_body(("plain",)).get_content()
    post.wait_for_delivery(message_id, "EMAIL", "sent")
    assert post.deliveries(message_id) == {("WEB", "customer"): ("queued", None), ("EMAIL", "customer"): ("sent", None)}
