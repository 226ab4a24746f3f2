-- pgbench: one customer's message as one call of one function, which is one transaction. See function_ddl.sql and statements.sql.
\if random(1, 10) = 1
\set customer_number :first + 100000000000 + random(1, 799999999999)
\else
\set customer_number :first + random(0, :known - 1)
\endif
SELECT send_message(:organization, :business, format('c%s@example.com', :customer_number::bigint), 'Hello, I need help with my order.');
