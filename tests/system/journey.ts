// The journey of journey.py with the types that openapi-typescript makes: node journey.ts URL TOKEN RECEIVER

import createClient from "openapi-fetch";
import type { paths } from "./schema.d.ts";

const PATIENCE_MS = 60_000;
const [url = "", token = "", receiver = ""] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl: url, headers: { token } });

type Answer<T> = { data?: T; error?: unknown };

async function ok<T>(asked: Promise<Answer<T>>): Promise<T> {
  const { data, error } = await asked;
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}

const business = await ok(api.POST("/api/businesses", { body: { name: "Acme Lyon", region: "FR" } }));
const webhook = await ok(
  api.POST("/api/webhooks", {
    body: { url: receiver, subscribedEvents: ["messages"], extraHeaders: [{ name: "X-Shop", value: "Lyon" }] },
  }),
);
const user = { email: "dave@lyon.example", phoneNumber: "04 78 42 48 83", locale: "fr-FR", name: "Dave Durand" };
const { customerThreadId } = await ok(
  api.POST("/api/widget/send-message-to-business", {
    params: { header: { "Idempotency-Key": "lyon-2" } },
    body: { businessId: business.id, message: "Bonjour, êtes-vous ouverts ?", user },
  }),
);
const sent = await ok(
  api.POST("/api/send-message-to-customer-thread", { body: { customerThreadId, text: "Oui, jusqu’à 18 h." } }),
);
const thread = await ok(api.GET("/api/get-customer-thread-details", { params: { query: { customerThreadId } } }));
const { events } = await ok(api.GET("/api/events", { params: { query: { types: ["message"] } } }));
const profile = await ok(
  api.GET("/api/customers/{customerId}/profile", { params: { path: { customerId: thread.customerId } } }),
);
const { customers } = await ok(api.GET("/api/customers", { params: { query: { email: user.email } } }));
const refused = await api.GET("/api/get-customer-thread-details", { params: { query: { customerThreadId: "1" } } });

const deadlineMs = Date.now() + PATIENCE_MS;
const delivered = async () => {
  const params = { path: { webHookId: webhook.id }, query: { state: "delivered" as const } };
  return (await ok(api.GET("/api/webhooks/{webHookId}/deliveries", { params }))).deliveries.length;
};
while ((await delivered()) < 2) {
  if (Date.now() > deadlineMs) throw new Error("the webhook was not delivered");
  await new Promise((resolve) => setTimeout(resolve, 100));
}

console.log(
  JSON.stringify({
    status: thread.status,
    texts: events.filter((event) => event.customerThreadId === customerThreadId).map((event) => event.message?.text),
    replied: sent.messageId === events.at(-1)?.messageId,
    phone: profile.phoneNumber,
    name: profile.displayName,
    locale: customers[0]?.locale,
    refused: refused.error?.detail,
    headers: webhook.extraHeaders?.map((header) => [header.name, header.set]),
    delivered: await delivered(),
  }),
);
