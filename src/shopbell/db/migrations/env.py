"""Alembic's entry: runs the migrations on the connection that ``db/migrate.py`` hands over."""

from alembic import context

from shopbell.db.schema.core import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by creating a new one
    include_name=lambda name, *_: name != "ids",  # the counter of ids is in no schema
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
