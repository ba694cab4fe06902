"""Settings, permissions, commands and log events are documented."""

import ast
import importlib
import importlib.util
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from koppel.cli.commands.command_table import COMMAND_GROUPS
from koppel.cli.main import command_tree
from koppel.organisations.roles import PERMISSIONS, Permission, Role
from tests.fixtures import manual
from tests.fixtures.environment import PACKAGES, REPOSITORY, SANDBOX

PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
    *sorted((REPOSITORY / "docs" / "nl").glob("*.md")),
]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
CONTRIBUTING = REPOSITORY / "CONTRIBUTING.md"
OTHER_PAGES = [CONTRIBUTING, REPOSITORY / "SECURITY.md", REPOSITORY / "CHANGELOG.md"]
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text()
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text()
VARIABLE = re.compile(r"(KOPPEL_[A-Z_]+|DATABASE_URL)")


def test_every_environment_variable_is_in_the_list_of_settings() -> None:
    read = variables_of_the_code()
    assert {"DATABASE_URL", "KOPPEL_SECRET_KEY", "KOPPEL_MAIL_FROM"} <= read
    assert read - documented_variables() == set()


def test_the_list_of_settings_names_nothing_that_is_not_read() -> None:
    assert documented_variables() - variables_of_the_code() == set()


@pytest.mark.parametrize(
    "code",
    [
        'os.environ["KOPPEL_NEW"]',
        'os.environ.get("KOPPEL_NEW", "")',
        'os.environ.setdefault("KOPPEL_NEW", "")',
        'os.getenv("KOPPEL_NEW")',
        'for name in ("KOPPEL_NEW",): os.environ.get(name)',
    ],
)
def test_a_new_variable_is_noticed_however_it_is_read(code: str) -> None:
    assert list(variables_read(code)) == ["KOPPEL_NEW"]


def test_every_permission_stands_with_its_roles() -> None:
    table = {key: cells for key, cells in rows_under(r"`(\w+)`:", OPERATIONS) if key in set(Permission)}
    roles = list(Role)
    allowed = {
        key: {role for role, cell in zip(roles, cells, strict=True) if cell} for key, cells in table.items()
    }
    assert allowed == {str(permission): set(may) for permission, may in PERMISSIONS.items()}


def test_the_permissions_table_names_the_roles_in_order() -> None:
    assert f"| Permission | {' | '.join(str(role.label) for role in Role)} |" in OPERATIONS


def test_every_command_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    command_names = sorted(commands())
    assert "koppel demo-once" in command_names
    assert [
        command for command in command_names if not re.search(rf"{re.escape(command)}(?![\w-])", text)
    ] == []


def test_every_section_that_a_message_sends_the_reader_to_exists() -> None:
    code = "\n".join(file.read_text() for file in PACKAGES.rglob("*.py"))
    referenced_sections = {
        first or second
        for first, second in re.findall(r'docs/operations\.md(?:, (\w+)| says under "([^"]+)")', code)
    }
    assert referenced_sections >= {"Roles", "Another major version"}
    assert referenced_sections - set(re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)) == set()


def test_every_log_event_of_the_troubleshooting_list_is_logged() -> None:
    code = "\n".join(file.read_text() for file in PACKAGES.rglob("*.py"))
    section = OPERATIONS.partition("\n## Troubleshooting\n")[2]
    heads = re.findall(r"^- (`[a-z_]+`(?:,\s+`[a-z_]+`)*)", section, re.MULTILINE)
    events = {event for head in heads for event in re.findall(r"`([a-z_]+)`", head)}
    assert len(events) >= 30
    assert [event for event in sorted(events) if f'"{event}"' not in code] == []


def test_every_block_of_the_operations_page_says_where_it_is_run() -> None:
    """The word behind the language; an unknown one, or none where a file or root is needed, runs nowhere."""
    unplaced = [
        f"{block.line}: ```{block.language} {block.runner}"
        for block in manual.blocks()
        if block.language not in manual.LANGUAGES or not (block.is_file or block.runner in manual.RUNNERS)
    ]
    assert unplaced == [], (
        f"Say one of {list(manual.RUNNERS)} behind the language (tests/fixtures/manual.py)."
    )


def test_every_fixed_address_that_koppel_calls_is_in_the_list_for_firewalls() -> None:
    files = [*(PACKAGES / "koppel/src/koppel").rglob("*.py")]
    code = "\n".join(file.read_text() for file in files if "tests" not in file.parts)
    called = set(re.findall(r'"https://([a-z0-9.-]+\.[a-z]+)"', code))
    assert called >= {"connect.visma.com", "api.kvk.nl"}
    section = re.split(r"^## ", OPERATIONS.partition("\n## Network\n")[2], flags=re.MULTILINE)[0]
    assert {host for host in called if f"`{host}`" not in section} == set()


def test_every_control_of_the_sandbox_is_documented() -> None:
    code = "\n".join(file.read_text() for file in SANDBOX.rglob("*.py"))
    knobs = {
        (method.upper(), path) for method, path in re.findall(r'web\.(\w+)\(f?"(/__sandbox__/[^"]*)"', code)
    }
    assert len(knobs) > 12
    written = (REPOSITORY / "docs" / "sandbox.md").read_text()
    assert [f"{method} {path}" for method, path in sorted(knobs) if f"`{method} {path}`" not in written] == []


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING], ids=lambda page: "-".join(page.parts[-2:]))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    existing, groups = set(commands()), {f"koppel {group.name}" for group in COMMAND_GROUPS}
    assert [command for command in commands_named(page.read_text(), groups) if command not in existing] == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    text = (
        "Type `koppel webhooks secret ID`, or `koppel webhooks`, "
        "in\n```\n.venv/bin/koppel sync abc\nkoppel up\n```"
    )
    assert commands_named(text, {"koppel webhooks", "koppel sync"}) == [
        "koppel webhooks secret",
        "koppel sync abc",
    ]


def commands_named(text: str, groups: Collection[str]) -> list[str]:
    """`koppel GROUP COMMAND` wherever a page has it in code."""
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    return [
        f"{group} {command}"
        for group, command in re.findall(r"(koppel [a-z-]+) ([a-z][a-z-]+)\b", code)
        if group in groups
    ]


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING], ids=lambda page: "-".join(page.parts[-2:]))
def test_every_function_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`(?:\w+\.)*(\w+)\(", page.read_text())
    assert [name for name in named if name not in functions_of_the_code()] == []


@cache
def functions_of_the_code() -> frozenset[str]:
    files = [*PACKAGES.rglob("*.py"), *(REPOSITORY / "tests").rglob("*.py")]
    code = "\n".join(file.read_text() for file in files)
    return frozenset(re.findall(r"(?:def|class|FUNCTION) (?:public\.)?(\w+)", code))


@pytest.mark.parametrize(
    "page", [*PAGES, CONTRIBUTING, *DECISIONS], ids=lambda page: "-".join(page.parts[-2:])
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_changelog_is_kept_in_the_form_of_keep_a_changelog() -> None:
    """A version per section, the newest first; below it only the six headings, each once."""
    sections = re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]
    titles = [section.partition("\n")[0] for section in sections]
    assert titles[0] == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", title) for title in titles[1:]]
    numbers = [tuple(map(int, version.groups())) for version in versions if version]
    assert len(numbers) == len(titles) - 1
    assert numbers == sorted(numbers, reverse=True)
    for section in sections:
        headings = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert len(headings) == len(set(headings))


def test_no_line_of_the_changelog_stands_twice() -> None:
    """Merges double lines; compared are their first words, since an end is reworded more often."""
    for section in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        lines = [" ".join(line.split())[:60] for line in re.split(r"^- ", section, flags=re.MULTILINE)[1:]]
        assert [line for line in lines if lines.count(line) > 1] == []


def test_the_changelog_names_the_version_of_the_packages() -> None:
    version = re.search(
        r'^version = "(.+)"$', (PACKAGES / "koppel" / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert version
    assert f"## [{version[1]}] - " in CHANGELOG


@pytest.mark.parametrize("record", DECISIONS, ids=lambda record: record.name)
def test_a_decision_record_has_date_status_and_headings(record: Path) -> None:
    text = record.read_text()
    assert re.match(rf"# {int(record.name[:4])}\. \S.+\n\nDate: \d{{4}}-\d\d-\d\d\. Status: \w+", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
        "Alternatives",
    ]


def test_decision_records_are_numbered_without_gaps() -> None:
    assert [int(record.name[:4]) for record in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize(
    "page", [*PAGES, *DECISIONS, *OTHER_PAGES], ids=lambda page: "-".join(page.parts[-2:])
)
def test_a_line_of_prose_has_110_characters_at_most(page: Path) -> None:
    """A row of a table is one line whatever its length; code is as it has to be typed."""
    prose = re.sub(r"^```.*?^```$|^\|.*?$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert [line for line in prose.splitlines() if len(line) > 110] == []


@cache
def variables_of_the_code() -> frozenset[str]:
    return frozenset(name for file in PACKAGES.rglob("*.py") for name in variables_read(file.read_text()))


def variables_read(code: str) -> Iterator[str]:
    """Names given to `os.environ`, and every other text of the form that our variables have."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
            yield node.value
        elif name := name_given_to_environ(node):
            yield name


def name_given_to_environ(node: ast.AST) -> str:
    """For names that do not begin like ours; '' when this is something else."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
        key: ast.expr | None = node.slice
    elif isinstance(node, ast.Call) and re.fullmatch(r"os\.(environ\.\w+|getenv)", ast.unparse(node.func)):
        key = node.args[0] if node.args else None
    else:
        return ""
    is_other = (
        isinstance(key, ast.Constant) and isinstance(key.value, str) and not VARIABLE.fullmatch(key.value)
    )
    return str(key.value) if is_other and isinstance(key, ast.Constant) else ""


def documented_variables() -> set[str]:
    return set(re.findall(r"^- `([A-Z_]+)`: ", OPERATIONS, re.MULTILINE))


def rows_under(key: str, text: str) -> Iterator[tuple[str, list[str]]]:
    """Rows of tables whose first cell begins with `key`: its group, and the other cells."""
    for line in text.splitlines():
        if match := re.match(rf"\| {key}", line):
            yield match[1], [cell.strip() for cell in line.strip().strip("|").split("|")[1:]]


def commands() -> Iterator[str]:
    """`koppel …` for every command, of apps too."""
    with ExitStack() as until_done:
        tree = typer.main.get_command(command_tree([], until_done))
    names = {branch.name for branch in COMMAND_GROUPS}
    yield from leaf_commands(tree, "koppel", without=names)
    for branch in COMMAND_GROUPS:
        if importlib.util.find_spec(branch.module) is None:
            continue
        app = getattr(importlib.import_module(branch.module), branch.attribute, None)
        if app is not None:
            yield from leaf_commands(typer.main.get_command(app), f"koppel {branch.name}")


def leaf_commands(command: click.Command, path: str, without: Collection[str] = ()) -> Iterator[str]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path
        return
    for name, inner in below.items():
        if not inner.hidden and name not in without:
            yield from leaf_commands(inner, f"{path} {name}")
