"""One click unsubscribes from emails; only viewing a link changes nothing."""

from html import unescape
from urllib.parse import urlsplit

import httpx2

from harness.sent_messages import Post
from harness.smtp import Received

ENDED = "You no longer receive emails from"
GOING_ON = "You will receive an email when we reply."


def path_of(mail: Received) -> str:
    """The path of the link that ends a mail's kind."""
    return urlsplit(str(mail.message["List-Unsubscribe"]).strip("<>")).path


def one_click(client: httpx2.Client, path: str) -> httpx2.Response:
    """What a mail program sends (RFC 8058): no cookie, no origin, no question."""
    return client.post(path, data={"List-Unsubscribe": "One-Click"})


def test_one_click_ends_emails_and_the_button_restarts_them(post: Post) -> None:
    carol, client = post.shop.somebody(), post.shop.server.client
    thread_id = post.shop.send(user={"email": carol})
    (invitation,) = post.mails.wait_for(1)
    path = path_of(invitation)

    assert GOING_ON in client.get(path).text
    answer = one_click(client, path)
    assert answer.status_code == 200
    assert ENDED in answer.text
    assert one_click(client, path).status_code == 200

    message_id = post.reply(thread_id, "Nobody hears this by mail.")
    post.wait_for_delivery(message_id, "EMAIL", "failed")
    assert post.deliveries(message_id)["EMAIL", "customer"] == ("failed", "opted_out")

    assert GOING_ON in client.post(f"{path}?again=true").text
    post.reply(thread_id, "Here I am again.")
    mails = post.mails.wait_for(2)
    assert [mail.recipients for mail in mails] == [(carol,), (carol,)]
    assert b"Nobody hears this" not in mails[1].content.partition(b"##-")[0]


def test_a_link_scanner_does_not_unsubscribe(post: Post) -> None:
    carol, client = post.shop.somebody(), post.shop.server.client
    thread_id = post.shop.send(user={"email": carol})
    path = path_of(post.mails.wait_for(1)[0])
    for method in ("GET", "HEAD", "GET"):
        assert client.request(method, path).status_code == 200
    post.reply(thread_id, "Your bicycle is ready.")
    assert post.mails.wait_for(2)[1].recipients == (carol,)


def test_a_link_unsubscribes_only_the_address_that_received_it(post: Post) -> None:
    carol, dave, phone = post.shop.somebody(), post.shop.somebody(), post.shop.some_number()
    client = post.shop.server.client
    thread_id = post.shop.send(user={"email": carol, "phoneNumber": phone})
    carols = path_of(post.mails.wait_for(1)[0])
    assert post.shop.send(user={"email": dave, "phoneNumber": phone}) == thread_id
    post.wait_for_delivery(post.reply(thread_id, "Hello Dave"), "EMAIL", "sent")
    assert post.mails.wait_for(2)[1].recipients == (dave,)
    assert one_click(client, carols).status_code == 200
    post.wait_for_delivery(post.reply(thread_id, "Hello again, Dave"), "EMAIL", "sent")
    # Retention deletes the records of mails; the link goes on to mean the same address.
    post.shop.database.change("DELETE FROM message_deliveries")
    post.shop.database.change("DELETE FROM outbound_messages")
    assert ENDED in client.get(carols).text
    assert GOING_ON in client.post(f"{carols}?again=true").text
    assert post.shop.send(user={"email": carol}) == thread_id
    post.wait_for_delivery(post.reply(thread_id, "Welcome back, Carol"), "EMAIL", "sent")
    assert post.mails.wait_for(4)[3].recipients == (carol,)


def test_one_customers_link_does_not_unsubscribe_another(post: Post) -> None:
    carol, dave, client = post.shop.somebody(), post.shop.somebody(), post.shop.server.client
    carols, daves = (post.shop.send(user={"email": email}) for email in (carol, dave))
    first = next(mail for mail in post.mails.wait_for(2) if mail.recipients == (carol,))
    assert one_click(client, path_of(first)).status_code == 200
    message_id = post.reply(carols, "Hello Carol")
    post.reply(daves, "Hello Dave")
    assert post.mails.wait_for(3)[2].recipients == (dave,)
    post.wait_for_delivery(message_id, "EMAIL", "failed")


def test_the_page_shows_the_business_without_the_address_in_the_readers_language(post: Post) -> None:
    carol = post.shop.somebody()
    post.shop.send(user={"email": carol})
    path = path_of(post.mails.wait_for(1)[0])
    page = post.shop.server.client.get(path, headers={"Accept-Language": "ar-EG,ar;q=0.9"})
    assert '<html lang="ar" dir="rtl" ' in page.text
    assert carol not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_an_unknown_link_is_refused(post: Post) -> None:
    post.shop.send(user={"email": post.shop.somebody()})
    path = path_of(post.mails.wait_for(1)[0])
    client = post.shop.server.client
    token = path.rpartition("/")[2]
    other = "b" if token[10] == "a" else "a"
    for wrong in ("x", "a" * 50, token[:10] + other + token[11:], token + "a", "%00", "é" * 50):
        for method in ("GET", "POST"):
            answer = client.request(method, f"/unsubscribe/{wrong}", headers={"Accept": "text/html"})
            assert answer.status_code == 404, wrong
            assert "This link does not work" in answer.text


def test_the_link_of_a_business_names_customer_emails_in_its_own_language(post: Post) -> None:
    post.business(email="boston@acme.example", invites_customers=False, locale="de", brand_color="#0a5c36")
    post.shop.send(user={"email": post.shop.somebody()})
    (notice,) = post.mails.wait_for(1)
    client, path = post.shop.server.client, path_of(notice)
    page = unescape(client.get(path, headers={"Accept-Language": "tlh"}).text)
    assert "Sie erhalten eine E-Mail, wenn ein Kunde an Acme Boston schreibt." in page
    assert "--brand:#0a5c36" in page
    ended = client.post(path, headers={"Accept-Language": "en"}).text
    assert "You do not receive emails when a customer writes to Acme Boston." in ended
    assert "Send me emails again" in ended
