-- The work of one message inside PostgreSQL: find or make the customer and the thread, add the message and its event.
CREATE FUNCTION send_message(organization bigint, business bigint, email text, text_of_message text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  now_ms constant bigint := extract(epoch FROM clock_timestamp()) * 1000;
  customer bigint;
  thread bigint;
  taken integer;
  message bigint;
BEGIN
  PERFORM FROM businesses WHERE organization_id = organization AND id = business AND deactivated_at_ms IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'Business does not belong to this organization';
  END IF;
  SELECT customer_id INTO customer FROM customer_identities WHERE organization_id = organization AND kind = 'email' AND value = email;
  IF NOT FOUND THEN
    INSERT INTO customers (organization_id, id, locale, created_at_ms) VALUES (organization, nextval('ids'), 'en', now_ms)
    RETURNING id INTO customer;
    INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
    VALUES (organization, 'email', email, customer, email, now_ms);
  END IF;
  INSERT INTO threads AS t (organization_id, id, customer_id, business_id, channel, status, last_sequence, created_at_ms, updated_at_ms)
  VALUES (organization, nextval('ids'), customer, business, 'WEB', 'waiting', 1, now_ms, now_ms)
  ON CONFLICT (organization_id, customer_id, business_id)
  DO UPDATE SET status = 'waiting', last_sequence = t.last_sequence + 1, updated_at_ms = excluded.updated_at_ms
  RETURNING id, last_sequence INTO thread, taken;
  INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, body, created_at_ms)
  VALUES (organization, thread, taken, nextval('ids'), true, text_of_message, now_ms) RETURNING id INTO message;
  -- Any rising number will do as the event's place here: under the feed's lock, as we take it, commits would go one by one.
  INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence, message_id, created_at_ms)
  VALUES (organization, nextval('ids'), 'message', business, customer, thread, taken, message, now_ms);
  RETURN thread;
END $$;
