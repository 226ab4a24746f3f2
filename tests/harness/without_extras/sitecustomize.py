"""Python imports this first where this folder is in PYTHONPATH: then no extra of Shopbell is installed."""

import sys

for _name in ("nats", "obstore", "psycopg", "psycopg_binary"):
    sys.modules[_name] = None  # type: ignore[assignment]  # Python's own way to say that there is no such module
