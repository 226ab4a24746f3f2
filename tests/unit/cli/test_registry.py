"""The list of commands matches the commands."""

from pkgutil import iter_modules

import pytest

from shopbell import cli
from shopbell.cli import registry

LISTED = {module for module, _ in registry.COMMANDS.values()} | {
    module for modules, _ in registry.GROUPS.values() for module in modules
}


@pytest.mark.parametrize("name", registry.COMMANDS)
def test_a_command_in_the_list_has_the_first_sentence_of_its_own_help(name: str) -> None:
    assert registry.load(name).get_short_help_str(limit=200) == registry.COMMANDS[name][1]


@pytest.mark.parametrize("name", registry.GROUPS)
def test_a_group_has_commands(name: str) -> None:
    group = registry.load(name)
    assert group.name == name
    assert group.commands


def test_each_module_with_commands_is_in_the_list() -> None:
    modules = {module.name for module in iter_modules(cli.__path__)}
    assert modules - LISTED == {
        "access",
        "choices",
        "dialog",
        "fields",
        "init_questions",
        "listening",
        "output",
        "progress",
        "registry",
        "times",
    }
