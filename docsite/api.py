"""Print the OpenAPI document."""

import json
import sys

from shopbell.app import create_app
from shopbell.settings.settings import Settings


def main() -> None:
    """Print the document as the server serves it."""
    app = create_app(Settings())._rest  # type: ignore[attr-defined]  # noqa: SLF001 - the routes behind our edge
    while not hasattr(app, "openapi"):
        app = app.app
    sys.stdout.write(json.dumps(app.openapi()))


if __name__ == "__main__":
    main()
