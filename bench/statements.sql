-- pgbench: one customer's message as one transaction of several statements, as a careful program without batches would send it.
-- 90 % of the messages come from known customers. Variables: organization, business, first, known.
\set now 1700000000000 + random(0, 1000000000)
\if random(1, 10) = 1
\set customer_number :first + 100000000000 + random(1, 799999999999)
\else
\set customer_number :first + random(0, :known - 1)
\endif
BEGIN;
SELECT count(*) AS businesses FROM businesses WHERE organization_id = :organization AND id = :business AND deactivated_at_ms IS NULL \gset
SELECT coalesce((SELECT customer_id FROM customer_identities
                  WHERE organization_id = :organization AND kind = 'email' AND value = format('c%s@example.com', :customer_number::bigint)), 0) AS customer \gset
\if :customer = 0
INSERT INTO customers (organization_id, id, locale, created_at_ms) VALUES (:organization, nextval('ids'), 'en', :now) RETURNING id AS customer \gset
INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
VALUES (:organization, 'email', format('c%s@example.com', :customer_number::bigint), :customer, format('c%s@example.com', :customer_number::bigint), :now);
\endif
INSERT INTO threads AS t (organization_id, id, customer_id, business_id, channel, status, last_sequence, created_at_ms, updated_at_ms)
VALUES (:organization, nextval('ids'), :customer, :business, 'WEB', 'waiting', 1, :now, :now)
ON CONFLICT (organization_id, customer_id, business_id)
DO UPDATE SET status = 'waiting', last_sequence = t.last_sequence + 1, updated_at_ms = excluded.updated_at_ms
RETURNING id AS thread, last_sequence AS sequence \gset
INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)
VALUES (:organization, :thread, :sequence, nextval('ids'), true, 'Hello, I need help with my order.', :now) RETURNING id AS message \gset
-- Any rising number will do as the event's place here: under the feed's lock, as we take it, commits would go one by one.
INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence, message_id, created_at_ms)
VALUES (:organization, nextval('ids'), 'message', :business, :customer, :thread, :sequence, :message, :now);
COMMIT;
