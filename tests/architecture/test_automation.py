"""Hosted CI, the project's own check and the pre-commit hooks only call make targets that exist."""

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.fixtures.environment import KOPPEL, REPOSITORY, SANDBOX

OWN_CHECK = ".ci/run"
WORKFLOWS = [
    file.relative_to(REPOSITORY).as_posix() for file in (REPOSITORY / ".github/workflows").glob("*.yml")
]
PROJECT_COMMAND = re.compile(r"(?:make|\.ci/run)(?: [a-z-]+)*")


def test_hosted_ci_and_hooks_only_call_make_and_the_own_check() -> None:
    commands = [*github_commands(), *gitlab_commands(), *hook_commands()]
    assert {".ci/run", ".ci/run coverage", "make style", "make types"} <= set(commands)
    assert [command for command in commands if not PROJECT_COMMAND.fullmatch(command)] == []


def test_every_target_that_is_called_exists() -> None:
    own_commands = re.findall(r"^ *(make [^\n\"$]+)", (REPOSITORY / OWN_CHECK).read_text(), re.MULTILINE)
    commands = [*own_commands, *github_commands(), *gitlab_commands(), *hook_commands()]
    called = {target for command in commands for target in command.split()[1:]}
    assert {"setup-tests", "test", "demo-once", "coverage", "imports"} <= called
    assert called - make_targets() == set()


def test_hooks_check_all_that_make_check_does() -> None:
    check = re.search(r"^check:([^#]*)##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert check
    assert {f"make {target}" for target in check[1].split()} == set(hook_commands())


def test_every_target_is_declared_as_no_file() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert declared
    assert set(declared[1].split()) == make_targets()


def test_hosted_ci_has_no_secret_and_may_only_read() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        assert load(path)["permissions"] == {"contents": "read"}
        assert "secrets." not in (REPOSITORY / path).read_text()


def test_setup_of_tests_is_a_script_that_a_shell_reads() -> None:
    subprocess.run(["sh", "-n", ".ci/setup-tests"], cwd=REPOSITORY, check=True)


@pytest.mark.parametrize("package", [KOPPEL, SANDBOX])
def test_a_package_says_that_it_is_typed(package: Any) -> None:
    assert (package / "py.typed").is_file()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def load(path: str) -> Any:
    return yaml.safe_load((REPOSITORY / path).read_text())


def github_commands() -> Iterator[str]:
    """What the steps run, once for each value of the matrix."""
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            for command in (step["run"] for step in job["steps"] if "run" in step):
                for targets in job["strategy"]["matrix"]["targets"]:
                    yield command.replace("${{ matrix.targets }}", targets).strip()


def gitlab_commands() -> Iterator[str]:
    for job in load(".gitlab-ci.yml").values():
        yield from job.get("script", ())


def hook_commands() -> Iterator[str]:
    for repository in load(".pre-commit-config.yaml")["repos"]:
        for hook in repository["hooks"]:
            yield hook["entry"]
