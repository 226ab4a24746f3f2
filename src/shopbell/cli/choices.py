"""Options that commands of several groups have."""

from typing import Annotated

import typer

from shopbell.cli.output import object_id

OfOrganization = Annotated[
    int, typer.Option("--organization", metavar="ID", parser=object_id, help="The organization's id.")
]
OnlyOrganization = Annotated[
    int | None, typer.Option("--organization", metavar="ID", parser=object_id, help="Only this organization.")
]
