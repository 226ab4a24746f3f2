"""Programs that run a changed Shopbell."""

_PROGRAM = """
CHANGE = {change!r}
exec(CHANGE)
from shopbell.workers import worker_process
worker_process.PROGRAM = ("-c", CHANGE + "import runpy; runpy.run_module('shopbell.workers.process', {{}}, '__main__')")
from shopbell.cli import main
main()
"""


def changed(change: str) -> tuple[str, str]:
    """What runs the command with a change, in the server and in its worker process.

    Args:
        change: lines of Python that run before the command.
    """
    return ("-c", _PROGRAM.format(change=change))
