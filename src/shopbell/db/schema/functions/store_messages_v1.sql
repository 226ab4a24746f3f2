-- Stores a batch of messages with its side effects, or nothing.
--
-- `create_customer_messages` and `create_replies` plan the rows. Each parameter is a JSON array of objects, or NULL if
-- there are none. Each statement begins at a parameter, finds its rows by key, and names the organization of each row.
-- Locks are taken in the order of db/lock_order.py: customers, threads, feeds.
--
-- Returns the threads of `placed` as a JSON array of [organization, customer, business, id]; otherwise NULL.
-- Raises SB001 if a row has changed since the plan read it; `PostgresDatabase.run` then runs the program again.
--
-- A released function never changes: the next version has another name, so that servers of both versions can run.
CREATE OR REPLACE FUNCTION store_messages_v1(
    changed_customers json DEFAULT NULL,
    new_identities json DEFAULT NULL,
    new_duplicates json DEFAULT NULL,
    blocked json DEFAULT NULL,
    placed json DEFAULT NULL, -- the threads of customers' messages
    answered json DEFAULT NULL, -- the threads of replies; a batch has either `placed` or `answered`
    new_messages json DEFAULT NULL,
    moved_feeds json DEFAULT NULL,
    new_events json DEFAULT NULL,
    new_deliveries json DEFAULT NULL,
    new_queues json DEFAULT NULL,
    new_keys json DEFAULT NULL
) RETURNS json LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    answer record;
    stored_thread threads;
    stored_threads threads[];
    stored_feeds feeds[];
BEGIN
    IF changed_customers IS NOT NULL THEN
        -- New customers, and known customers whose locale or name changes.
        INSERT INTO customers (organization_id, id, locale, first_name, created_at_ms)
        SELECT organization_id, id, locale, first_name, created_at_ms
        FROM json_to_recordset(changed_customers)
             AS changed (organization_id bigint, id bigint, locale text, first_name text, created_at_ms bigint)
        ON CONFLICT (organization_id, id) DO UPDATE
        SET locale = excluded.locale,
            first_name = CASE WHEN customers.last_name IS NULL
                              THEN coalesce(customers.first_name, excluded.first_name)
                              ELSE customers.first_name END;
    END IF;

    IF new_identities IS NOT NULL THEN
        INSERT INTO customer_identities (organization_id, kind, value, customer_id, shown, created_at_ms)
        SELECT organization_id, kind, value, customer_id, shown, created_at_ms
        FROM json_to_recordset(new_identities)
             AS new (organization_id bigint, kind text, value text, customer_id bigint, shown text,
                     created_at_ms bigint);
    END IF;

    IF new_duplicates IS NOT NULL THEN
        INSERT INTO possible_duplicates (organization_id, customer_id, other_customer_id, found_at_ms)
        SELECT organization_id, customer_id, other_customer_id, found_at_ms
        FROM json_to_recordset(new_duplicates)
             AS new (organization_id bigint, customer_id bigint, other_customer_id bigint, found_at_ms bigint)
        ON CONFLICT DO NOTHING;
    END IF;

    IF blocked IS NOT NULL THEN
        INSERT INTO blocked_messages (organization_id, id, customer_id, business_id, body, created_at_ms)
        SELECT organization_id, id, customer_id, business_id, body, created_at_ms
        FROM json_to_recordset(blocked)
             AS new (organization_id bigint, id bigint, customer_id bigint, business_id bigint, body text,
                     created_at_ms bigint);
    END IF;

    IF placed IS NOT NULL THEN
        WITH stored AS (
            -- `count` is the number of the thread's messages in this batch. It is 0 if the customer is blocked; then
            -- an existing thread does not change.
            INSERT INTO threads (organization_id, id, customer_id, business_id, channel, status, last_sequence,
                                 created_at_ms, updated_at_ms, last_customer_message_at_ms, last_email, last_phone)
            SELECT organization_id, id, customer_id, business_id, 'WEB',
                   CASE WHEN count > 0 THEN 'waiting' ELSE 'resolved' END, count, now_ms, now_ms,
                   CASE WHEN count > 0 THEN now_ms END, last_email, last_phone
            FROM json_to_recordset(placed)
                 AS placed (organization_id bigint, customer_id bigint, business_id bigint, id bigint, count bigint,
                            now_ms bigint, last_email text, last_phone text)
            ON CONFLICT (organization_id, customer_id, business_id) DO UPDATE
            SET status = CASE WHEN excluded.last_sequence > 0 THEN 'waiting' ELSE threads.status END,
                last_sequence = threads.last_sequence + excluded.last_sequence,
                channel = CASE WHEN excluded.last_sequence > 0 THEN excluded.channel ELSE threads.channel END,
                updated_at_ms = CASE WHEN excluded.last_sequence > 0 THEN excluded.updated_at_ms
                                     ELSE threads.updated_at_ms END,
                last_customer_message_at_ms =
                    coalesce(excluded.last_customer_message_at_ms, threads.last_customer_message_at_ms),
                last_email = CASE WHEN excluded.last_sequence > 0 THEN excluded.last_email ELSE threads.last_email END,
                last_phone = CASE WHEN excluded.last_sequence > 0 THEN excluded.last_phone ELSE threads.last_phone END
            RETURNING threads AS thread
        )
        SELECT array_agg(thread) INTO stored_threads FROM stored;
    END IF;

    -- Row by row: a join that was planned while the table was small would read all threads forever.
    FOR answer IN
        SELECT * FROM json_to_recordset(answered)
            AS answer (organization_id bigint, id bigint, customer_id bigint, business_id bigint, count bigint,
                       effect text, author_id bigint, visible_behind bigint, other_behind bigint,
                       expected_reply bigint, now_ms bigint)
    LOOP
        UPDATE threads
        SET last_sequence = last_sequence + answer.count,
            last_reply_sequence = coalesce(last_sequence + answer.count - answer.visible_behind, last_reply_sequence),
            last_reply_author_id = coalesce(answer.author_id, last_reply_author_id),
            last_other_reply_sequence = CASE
                WHEN answer.other_behind IS NOT NULL THEN last_sequence + answer.count - answer.other_behind
                WHEN answer.author_id <> last_reply_author_id THEN last_reply_sequence
                ELSE last_other_reply_sequence END,
            status = CASE WHEN answer.effect = 'reply' THEN 'replied'
                          WHEN answer.effect = 'template' AND status <> 'resolved' THEN 'replied'
                          ELSE status END,
            updated_at_ms = answer.now_ms
        WHERE organization_id = answer.organization_id AND id = answer.id
          AND customer_id = answer.customer_id AND business_id = answer.business_id
          AND last_reply_sequence = coalesce(answer.expected_reply, last_reply_sequence)
        RETURNING * INTO stored_thread;
        -- It has another customer or business since it was read, or the reply depends on the last one
        -- (`expected_reply`) and there is a newer one.
        IF NOT FOUND THEN
            RAISE EXCEPTION 'a thread has changed' USING ERRCODE = 'SB001';
        END IF;
        stored_threads := stored_threads || stored_thread;
    END LOOP;

    IF new_messages IS NOT NULL THEN
        INSERT INTO messages (organization_id, thread_id, sequence, id, from_customer, internal, body, created_at_ms,
                              employee_id, attachment_id, content_sid, channel, external_id)
        SELECT organization_id, thread.id, thread.last_sequence - behind, new.id, placed IS NOT NULL,
               coalesce(internal, 0) = 1, body, new.created_at_ms, employee_id, attachment_id, content_sid,
               new.channel, external_id
        FROM json_to_recordset(new_messages)
             AS new (organization_id bigint, customer_id bigint, business_id bigint, behind bigint, id bigint,
                     internal bigint, body text, employee_id bigint, attachment_id bigint, content_sid text,
                     channel text, external_id text, created_at_ms bigint)
        JOIN unnest(stored_threads) AS thread USING (organization_id, customer_id, business_id);
    END IF;

    WITH stored AS (
        -- The last lock. A merge, block or erasure of a customer increments `customer_changes` while it holds the row.
        INSERT INTO feeds (organization_id, last_position, customer_changes)
        SELECT organization_id, count, seen_changes
        FROM json_to_recordset(moved_feeds) AS moved (organization_id bigint, count bigint, seen_changes bigint)
        ON CONFLICT (organization_id) DO UPDATE SET last_position = feeds.last_position + excluded.last_position
        WHERE feeds.customer_changes = excluded.customer_changes
        RETURNING feeds AS feed
    )
    SELECT array_agg(feed) INTO stored_feeds FROM stored;
    IF coalesce(cardinality(stored_feeds), 0) < json_array_length(moved_feeds) THEN
        RAISE EXCEPTION 'customers have changed' USING ERRCODE = 'SB001';
    END IF;

    IF new_events IS NOT NULL THEN
        INSERT INTO events (organization_id, position, type, business_id, customer_id, thread_id, thread_sequence,
                            message_id, created_at_ms, actor_type, actor_id)
        SELECT organization_id, feed.last_position - event_behind, 'message', business_id, customer_id, thread.id,
               thread.last_sequence - behind, message_id, now_ms, actor_type, actor_id
        FROM json_to_recordset(new_events)
             AS new (organization_id bigint, customer_id bigint, business_id bigint, behind bigint,
                     event_behind bigint, message_id bigint, now_ms bigint, actor_type text, actor_id bigint)
        JOIN unnest(stored_threads) AS thread USING (organization_id, customer_id, business_id)
        JOIN unnest(stored_feeds) AS feed USING (organization_id);
    END IF;

    IF new_deliveries IS NOT NULL THEN
        INSERT INTO deliveries (organization_id, webhook_id, position, thread_id, state, created_at_ms)
        SELECT organization_id, webhook_id, feed.last_position - event_behind, thread.id, 'waiting', now_ms
        FROM json_to_recordset(new_deliveries)
             AS new (organization_id bigint, customer_id bigint, business_id bigint, webhook_id bigint,
                     event_behind bigint, now_ms bigint)
        JOIN unnest(stored_threads) AS thread USING (organization_id, customer_id, business_id)
        JOIN unnest(stored_feeds) AS feed USING (organization_id);

        -- An existing row is locked although it does not change: a worker that settles the last delivery of a queue
        -- deletes the row, and this statement must wait for it. Sorted, so that two processes cannot deadlock.
        INSERT INTO delivery_queues (organization_id, webhook_id, thread_id, background, position, due_at_ms)
        SELECT organization_id, webhook_id, thread.id, 0, feed.last_position - event_behind, now_ms
        FROM json_to_recordset(new_queues)
             AS new (organization_id bigint, customer_id bigint, business_id bigint, webhook_id bigint,
                     event_behind bigint, now_ms bigint)
        JOIN unnest(stored_threads) AS thread USING (organization_id, customer_id, business_id)
        JOIN unnest(stored_feeds) AS feed USING (organization_id)
        ORDER BY organization_id, webhook_id, thread.id
        ON CONFLICT (organization_id, webhook_id, thread_id, background) DO UPDATE SET due_at_ms = excluded.due_at_ms
        WHERE false;
    END IF;

    IF new_keys IS NOT NULL THEN
        INSERT INTO idempotency_keys (organization_id, caller_id, route, key, body_hash, result_id, created_at_ms)
        SELECT organization_id, caller_id, route, key, body_hash, coalesce(result_id, thread.id), now_ms
        FROM json_to_recordset(new_keys)
             AS new (organization_id bigint, customer_id bigint, business_id bigint, caller_id bigint, route text,
                     key text, body_hash text, result_id bigint, now_ms bigint)
        JOIN unnest(stored_threads) AS thread USING (organization_id, customer_id, business_id);
    END IF;

    RETURN (SELECT json_agg(json_build_array(organization_id, customer_id, business_id, id))
            FROM unnest(stored_threads) AS thread WHERE placed IS NOT NULL);
END $$;
