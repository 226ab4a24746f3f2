"""Badges, Python versions and commit hook match the project."""

import re
import tomllib
from urllib.parse import unquote

import pytest

from harness import ROOT

PROJECTS = ["pyproject.toml", "clients/python/pyproject.toml"]


def claimed_versions(project: str) -> list[str]:
    """Return the versions of Python that a project's classifiers name."""
    classifiers = tomllib.loads((ROOT / project).read_text())["project"]["classifiers"]
    return [found[1] for found in (re.fullmatch(r".*:: (3\.\d+)", each) for each in classifiers) if found]


@pytest.mark.parametrize("project", PROJECTS)
def test_ci_runs_every_supported_python_version(project: str) -> None:
    matrix = re.search(r"python: \[(.+)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    assert matrix is not None
    claimed = claimed_versions(project)
    assert claimed
    assert set(claimed) <= set(re.findall(r"3\.\d+", matrix[1]))


def test_the_badges_of_the_readme_are_correct() -> None:
    badges = [unquote(each) for each in re.findall(r"/badge/(\S+)-blue\)", (ROOT / "README.md").read_text())]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert badges == [
        f"python-{' | '.join(claimed_versions('pyproject.toml'))}",
        f"license-{project['license'].replace('-', '--')}",
    ]


def test_the_ci_workflow_and_the_commit_hook_run_existing_commands() -> None:
    assert "- run: .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert "entry: make --silent check" in (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.search(r"^check:", (ROOT / "Makefile").read_text(), re.MULTILINE)
