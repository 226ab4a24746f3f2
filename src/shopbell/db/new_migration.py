"""Write a migration for what the schema has and the migrations do not: ``make migration WHAT="add job titles"``.

Alembic finds tables, columns, keys and indexes, but no CHECK constraints and functions.
"""

import sys

from alembic import command
from sqlalchemy import create_engine

from shopbell.db.migrate import revisions, upgrade


def write_migration(what: str) -> None:
    """Write the next migration into the folder of migrations.

    Args:
        what: what it does, in a few words; they are also in the name of the file.
    """
    revision = f"{int(revisions()[-1]) + 1:04}"
    with create_engine("sqlite://").begin() as tx:
        config = upgrade(tx)
        config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
        command.revision(config, what, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    write_migration(sys.argv[1])
