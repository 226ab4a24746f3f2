"""One object of each kind, created by the API, and its name in requests."""

import uuid
from typing import Any

from harness.inbox import catch_up
from harness.push_service import PushBrowser
from harness.shop import WIDGET, Shop

KINDS = {
    "customerThreadId": "thread",
    "threadId": "thread",
    "businessId": "business",
    "customerId": "customer",
    "otherCustomerId": "other customer",
    "employeeUserId": "employee",
    "employeeId": "employee",
    "assigneeUserId": "employee",
    "mentionedUserIds": "employee",
    "templateId": "template",
    "contentSid": "content of a template",
    "webHookId": "webhook",
    "deliveryId": "delivery",
    "mergeId": "merge",
    "attachmentId": "attachment",
    "lastSeenMessageId": "message",
    "publishableKeyId": "publishable key",
    "attachmentIds": "attachment",
    "draftId": "draft",
    "tagId": "tag",
    "addTagIds": "tag",
    "removeTagIds": "tag",
    "savedReplyId": "saved reply",
    "savedViewId": "saved view",
    "scheduledMessageId": "scheduled message",
    "customerThreadIds": "thread",
    "actionId": "action",
    "pushSubscriptionId": "push subscription",
}
"""What the fields of requests name that hold ids."""

PRIVATE_KEY = "private key"
"""What an organization has beside: its backend proves with it who a customer is."""

NOBODYS = {"content of a template": "HXnobody"}
NO_ID = "1"
"""An id that nothing ever has: they begin far above."""


def nobodys(kind: str) -> str:
    """What names nothing of this kind in any organization."""
    return str(2**53 - 1) if kind == "delivery" else NOBODYS.get(kind, NO_ID)


def make(shop: Shop, token: str, business_id: str, mark: str = "") -> dict[str, str]:
    """Make one thing of each kind.

    Args:
        shop: where.
        token: of the organization whose things they are.
        business_id: where its customers write to.
        mark: stands in every text and name.

    Returns:
        Their ids, by the kinds of ``KINDS``.
    """

    def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = shop.post(body, token=token, path=path)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        made: dict[str, Any] = answer.json()
        return made

    def send(**user: str) -> str:
        sent = post(WIDGET, {"businessId": business_id, "message": f"a secret {mark}", "user": user})
        thread_id: str = sent["customerThreadId"]
        return thread_id

    def get(path: str, **query: str) -> dict[str, Any]:
        answer = shop.server.client.get(path, params=query, headers={"token": token})
        assert answer.status_code == 200, f"{path}: {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def customer_of(thread_id: str) -> str:
        customer_id: str = get("/api/get-customer-thread-details", customerThreadId=thread_id)["customerId"]
        return customer_id

    unique = f"{mark}{uuid.uuid4().hex}"
    webhook = {"url": f"https://{unique}.invalid/hook", "subscribedEvents": ["messages"]}
    ids = {"webhook": post("/api/webhooks", webhook)["id"]}
    email, phone = {"email": f"{unique}@example.com"}, {"phoneNumber": shop.some_number()}
    ids["thread"], other_thread_id = send(**email), send(**phone)
    send(**email, **phone)  # and so the two may be one person
    send(email=f"{unique}.second@example.com")
    merged = customer_of(send(email=f"{unique}.merged@example.com"))
    ids["customer"], ids["other customer"] = customer_of(ids["thread"]), customer_of(other_thread_id)
    into = customer_of(send(email=f"{unique}.into@example.com"))
    ids["merge"] = post(f"/api/customers/{into}/merge", {"otherCustomerId": merged})["mergeId"]
    ids["business"] = post("/api/businesses", {"name": f"business {unique}", "region": "US"})["id"]
    ids["employee"] = post("/api/employees", {"name": f"employee {unique}", "email": f"e.{unique}@example.com"})["id"]
    template = post("/api/templates", {"title": f"template {unique}", "text": f"text {unique}"})
    ids["template"], ids["content of a template"] = template["id"], template["contentSid"]
    reply = {"customerThreadId": ids["thread"], "text": f"a reply {mark}"}
    ids["message"] = post("/api/send-message-to-customer-thread", reply)["messageId"]
    later = {"customerThreadId": ids["thread"], "text": f"a later reply {mark}", "delayMs": 30_000}
    ids["scheduled message"] = post("/api/scheduled-messages", later)["scheduledMessageId"]
    post(f"/api/employees/{ids['employee']}/roles", {"role": "member"})
    replied = {"action": {"type": "status", "status": "replied"}, "customerThreadIds": [ids["thread"]]}
    replied["employeeUserId"] = ids["employee"]
    ids["action"] = post("/api/inbox/bulk", replied)["actionId"]
    browser = PushBrowser(f"https://push.example/{unique}").subscription | {"employeeUserId": ids["employee"]}
    ids["push subscription"] = post("/api/push-subscriptions", browser)["pushSubscriptionId"]
    assign = {"customerThreadId": ids["thread"], "employeeUserId": ids["employee"]}
    post("/api/assign-customer-thread", assign)
    ids["delivery"] = get(f"/api/webhooks/{ids['webhook']}/deliveries")["deliveries"][0]["id"]
    file = {"file": (f"{unique}.txt", f"a file {mark}".encode(), "text/plain")}
    uploaded = shop.server.client.post("/api/attachments", files=file, headers={"token": token})
    assert uploaded.status_code == 200, uploaded.text
    ids["attachment"] = uploaded.json()["attachmentId"]
    draft = {"customerThreadId": ids["thread"], "mode": "reply", "text": f"a draft {mark}"}
    ids["draft"] = post("/api/inbox/drafts", draft)["draftId"]
    ids["tag"] = post("/api/tags", {"name": f"tag {unique}"[:50]})["tagId"]
    saved_reply = {
        "businessId": business_id,
        "shortcut": unique[-32:],
        "title": f"title {mark}",
        "text": f"a text {mark}",
    }
    ids["saved reply"] = post("/api/saved-replies", saved_reply)["savedReplyId"]
    view = {"name": f"view {unique}", "query": "view=open", "shared": True, "employeeUserId": ids["employee"]}
    ids["saved view"] = post("/api/saved-views", view)["savedViewId"]
    sites = {"allowedOrigins": [f"https://{unique}.example"]}
    ids["publishable key"] = post("/api/publishable-keys", sites)["id"]
    assert set(ids) == set(KINDS.values())
    organization_id = get("/api/organization")["id"]
    ids[PRIVATE_KEY] = shop.server.installation.cli("organization", "private-key", organization_id)["privateKey"]
    of_business = "SELECT organization_id FROM businesses WHERE id = :id"
    catch_up(shop, str(shop.database.value(of_business, id=int(business_id))))
    return ids
