"""A database of Chatwoot with a few conversations."""

# The columns of Chatwoot's tables that the query reads, with their types:
# https://github.com/chatwoot/chatwoot/blob/develop/db/schema.rb
TABLES = """
CREATE TABLE contacts (id int, name varchar, email varchar, phone_number varchar, additional_attributes jsonb);
CREATE TABLE inboxes (id int, name varchar, channel_type varchar);
CREATE TABLE users (id int, name varchar, email varchar);
CREATE TABLE conversations (
    id int, account_id int, inbox_id int, status int, assignee_id int, contact_id bigint, display_id int,
    additional_attributes jsonb, cached_label_list text
);
CREATE TABLE messages (
    id int, content text, conversation_id int, message_type int, private boolean, created_at timestamp,
    content_attributes json, sender_type varchar, sender_id bigint
);
CREATE TABLE attachments (id int, message_id int);
CREATE TABLE active_storage_attachments (record_type varchar, record_id bigint, blob_id bigint);
CREATE TABLE active_storage_blobs (id bigint, filename varchar);
INSERT INTO contacts VALUES (8, 'Carol Jones', 'carol@example.com', NULL, '{"company_name": "Jones Ltd"}');
INSERT INTO inboxes VALUES (3, 'Support', 'Channel::Email');
INSERT INTO users VALUES (2, 'Alice', 'alice@acme.example');
INSERT INTO conversations VALUES
    (40, 1, 3, 1, 2, 8, 12, '{"mail_subject": "My order"}', 'delivery, vip'),
    (41, 1, 3, 0, NULL, 8, 13, '{}', NULL),
    (42, 9, 3, 0, NULL, 8, 1, '{}', NULL);
INSERT INTO messages VALUES
    (1, E'Where is it?\\nIt was "blue".', 40, 0, false, '2023-11-14 22:13:20', '{}', 'Contact', 8),
    (2, 'On its way.', 40, 1, false, '2023-11-14 22:14:20.5', NULL, 'User', 2),
    (3, 'Called them', 40, 1, true, '2023-11-14 22:15:20', '{}', 'User', 2),
    (4, 'Alice resolved it', 40, 2, false, '2023-11-14 22:16:20', '{}', NULL, NULL),
    (5, 'Rate us', 40, 1, false, '2023-11-14 22:17:20', '{}', 'AgentBot', 9),
    (6, NULL, 41, 0, false, '2023-11-15 22:13:20', '{}', 'Contact', 8);
INSERT INTO attachments VALUES (70, 6);
INSERT INTO active_storage_attachments VALUES ('Attachment', 70, 90), ('User', 70, 91);
INSERT INTO active_storage_blobs VALUES (90, 'photo.jpg'), (91, 'avatar.png');
"""
