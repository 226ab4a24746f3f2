"""An integration with a client from OpenAPI Generator.

From the first business to the delivered webhook. The test runs it: ``python journey.py URL TOKEN RECEIVER``, with the
generated package on PYTHONPATH. It prints its results as JSON.
"""

import json
import sys
import time

import shopbell_api

PATIENCE_S = 60


def _travel(client: shopbell_api.ApiClient, receiver: str) -> dict[str, object]:
    business = shopbell_api.BusinessesApi(client).create_business({"name": "Acme Lyon", "region": "FR"})
    webhooks = shopbell_api.WebhooksApi(client)
    webhook = webhooks.create_webhook(
        {
            "url": receiver,
            "subscribedEvents": ["messages"],
            "extraHeaders": [{"name": "X-Shop", "value": "Lyon"}],
        }
    )
    user = {"email": "carol@lyon.example", "phoneNumber": "04 78 42 48 82", "locale": "fr-FR", "name": "Carol Durand"}
    message = shopbell_api.SendMessageToBusinessRequest(
        business_id=shopbell_api.SendMessageToBusinessRequestBusinessId(business.id),
        message="Bonjour, êtes-vous ouverts ?",
        user=shopbell_api.SendMessageToBusinessRequestUser.from_dict(user),
    )
    thread_id = shopbell_api.WidgetApi(client).send_message_to_business(message, "lyon-1").customer_thread_id
    threads = shopbell_api.ThreadsApi(client)
    reply = shopbell_api.SendMessageToCustomerThreadRequest(
        customer_thread_id=shopbell_api.SendMessageToCustomerThreadRequestCustomerThreadId(thread_id),
        text="Oui, jusqu’à 18 h.",
    )
    sent = threads.send_message_to_customer_thread(reply)
    thread = threads.get_customer_thread_details(thread_id)
    events = shopbell_api.EventsApi(client).list_events(types=["message"]).events
    customers = shopbell_api.CustomersApi(client)
    profile = customers.get_customer_profile(thread.customer_id)
    (customer,) = customers.list_customers(email=user["email"]).customers
    try:
        threads.get_customer_thread_details("1")
    except shopbell_api.ApiException as error:
        refused = json.loads(error.body)
    deadline_s = time.monotonic() + PATIENCE_S
    while len(delivered := webhooks.list_deliveries(webhook.id, state="delivered").deliveries) < 2:
        if time.monotonic() > deadline_s:
            raise TimeoutError(webhooks.list_deliveries(webhook.id).to_json())
        time.sleep(0.1)
    return {
        "status": thread.status,
        "texts": [event.message.text for event in events if event.customer_thread_id == thread_id],
        "replied": sent.message_id == events[-1].message_id,
        "phone": profile.phone_number,
        "name": profile.display_name,
        "locale": customer.locale,
        "refused": refused["detail"],
        "headers": [[header.name, header.set] for header in webhook.extra_headers],
        "delivered": len(delivered),
    }


if __name__ == "__main__":
    url, token, receiver = sys.argv[1:]
    configuration = shopbell_api.Configuration(host=url, api_key={"apiToken": token})
    with shopbell_api.ApiClient(configuration) as client:
        print(json.dumps(_travel(client, receiver)))
