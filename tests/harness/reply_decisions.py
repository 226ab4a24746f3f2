"""Conversations on every channel whose replies are decided and not sent."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from harness.channel_rules import rules
from harness.installation import SECRET_KEY
from harness.shop import Shop
from shopbell.channels.email.store import InboundEmail, store_email
from shopbell.channels.sms import inbound
from shopbell.customers.magic_links import CustomerLinks
from shopbell.customers.opt_outs import OptOuts
from shopbell.email.parse import IncomingEmail
from shopbell.email.reply_addresses import Audience, ReplyAddress
from shopbell.notifications.capabilities import Rules
from shopbell.notifications.context import read_known_threads
from shopbell.notifications.policy import Said, decide
from shopbell.security.keys import Keys
from shopbell.sms import stop_words
from shopbell.sms.inbound import InboundText

NUMBER = "+16175550100"
KEYS = Keys((SECRET_KEY.encode(),))
OPT_OUTS = OptOuts(KEYS)
RULES = rules(batch_s=0)

Texts = Literal["SMS", "WHATSAPP"]
Way = tuple[str, str]


class Desk:
    """Acme's conversations, of which nothing is sent: what would be is decided here."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._ids = itertools.count(time.time_ns())

    def text(self, sender: str, channel: Texts = "SMS", word: str = "Hello?") -> str:
        """A customer writes a text to Boston; the conversation in which it stands."""
        sid = f"SM{next(self._ids)}"
        text = InboundText(sid, channel, sender, NUMBER, word, keyword=stop_words.find_keyword(word), is_answered=True)
        with self.shop.database.writing() as tx:
            inbound.store_text(tx, text, OPT_OUTS, (), now_ms=now_ms())
        query = "SELECT thread_id FROM messages WHERE external_id = :sid"
        return str(self.shop.database.value(query, sid=sid))

    def mail(self, thread_id: str, sender: str) -> None:
        """Answer an email to the conversation's customer."""
        mail = IncomingEmail(
            sender=sender,
            sender_name="",
            recipients=(),
            subject="Re: Hello",
            message_id=None,
            in_reply_to=None,
            references=(),
            date_ms=None,
            text="Hello?",
            reply_text="Hello?",
            html=None,
            attachments=(),
            automatic=None,
            bounce=None,
            authentication=None,
            faults=(),
        )
        to = ReplyAddress(int(self.shop.world.acme), int(thread_id), Audience.CUSTOMER)
        with self.shop.database.writing() as tx:
            assert store_email(
                tx, InboundEmail(to, mail, str(next(self._ids)), (), "Hello?", "Hello?"), now_ms=now_ms()
            )

    def merge(self, thread_id: str, other_thread_id: str) -> str:
        """Merge the second conversation's customer into the first one's; the merge's id."""
        kept, other = map(self.shop.customer_of, (thread_id, other_thread_id))
        answer = self.shop.post({"otherCustomerId": str(other)}, path=f"/api/customers/{kept}/merge")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["mergeId"])

    def undo(self, merge_id: str) -> None:
        """Undo a merge."""
        answer = self.shop.post({}, path=f"/api/customers/merges/{merge_id}/undo")
        assert answer.status_code == 200, answer.text

    def opens_link(self, thread_id: str, address: str, channel: str = "EMAIL") -> Callable[[str], None]:
        """The customer opens the link that was sent to an address; the page that they then write on."""
        with self.shop.database.writing() as tx:
            links = CustomerLinks(KEYS)
            acme = int(self.shop.world.acme)
            token = links.make(tx, acme, int(thread_id), channel, address, now_ms=now_ms())
        own, client = {"sec-fetch-site": "same-origin"}, self.shop.server.client
        answer = client.post(f"/t/{token}", headers=own)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"].partition(";")[0]
        client.cookies.clear()

        def write(text: str) -> None:
            its = own | {"cookie": cookie}
            answer = client.post(f"/c/{thread_id}/messages", files={"text": (None, text)}, headers=its)
            assert answer.status_code == 303, answer.text

        return write

    def reply(self, thread_id: str, rules: Rules = RULES) -> list[Way]:
        """Where a reply would be sent now: channels and addresses."""
        return self._decide(thread_id, rules, from_customer=False)

    def invitation(self, thread_id: str) -> list[Way]:
        """Where the first message's invitation would be sent."""
        return self._decide(thread_id, RULES, from_customer=True)

    def _decide(self, thread_id: str, rules: Rules, *, from_customer: bool) -> list[Way]:
        thread = self.shop.thread(thread_id)
        sequence = 1 if from_customer else thread["last_sequence"] + 1
        said = Said(1, sequence, now_ms(), from_customer=from_customer)
        with self.shop.database.connection() as tx:
            facts = read_known_threads(tx, thread["organization_id"], [thread["id"]], OPT_OUTS)[thread["id"]].context
        answered = replace(facts, last_reply_sequence=0 if from_customer else sequence)
        sends = decide(answered, [said], rules, now_ms=now_ms()).sends
        return [(send.channel, send.address) for send in sends if send.audience == "customer"]


def now_ms() -> int:
    """The time in Unix ms."""
    return time.time_ns() // 1_000_000
