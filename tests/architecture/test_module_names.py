"""A module's name says one thing in the whole program: two modules share it only by convention, or for the
same job.
"""

from collections import defaultdict
from pathlib import Path

from tests.architecture.test_folders import CONVENTIONAL
from tests.fixtures.environment import KOPPEL, PACKAGES

INTERFACES = {"views", "forms", "api", "commands", "steps", "listeners", "templatetags"}
"""Folders whose modules are named for what they show, take or listen to; the folder says how."""
APART = {"connectors", "migrations", "__pycache__"}
"""Each connector is read on its own; Django names migrations."""
SAME_JOB = {
    "csv_import": "reads lines of a CSV into a use case",
    "delivery": "sends what waits, by one channel",
    "erasure": "erases an administration from an app's tables",
    "export": "writes tables to files",
    "fields": "makes fields of models",
    "formats": "named by Django, one a language",
    "handover": "gives what a person held to a colleague",
    "privileges": "what roles of the database may do",
    "reasons": "the codes of why something is so, with their sentences",
    "outbox": "declares the rows that an app delivers outside; the kit has the engine of them all",
}
"""Names that several modules have, with what all of them do."""


def modules() -> dict[str, list[str]]:
    """Modules that no folder of an interface explains, by name."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in sorted(KOPPEL.rglob("*.py")):
        if (
            not APART & set(file.parts)
            and file.parent.name not in INTERFACES
            and file.stem not in CONVENTIONAL
        ):
            by_name[file.stem].append(str(file.relative_to(KOPPEL)))
    return by_name


def test_two_modules_share_a_name_only_for_the_same_job() -> None:
    shared = {name: files for name, files in modules().items() if len(files) > 1 and name not in SAME_JOB}
    assert shared == {}, "\n".join(f"{name}: {', '.join(files)}" for name, files in shared.items())


def test_every_shared_name_is_still_shared() -> None:
    assert {name for name in SAME_JOB if len(modules()[name]) < 2} == set()


def test_no_module_stands_beside_a_package_of_its_name() -> None:
    """Python imports the package; the module would be dead, and looks alive."""
    shadowed = [
        str(file.relative_to(PACKAGES))
        for file in PACKAGES.rglob("*.py")
        if file.with_suffix("").joinpath("__init__.py").exists()
    ]
    assert shadowed == []


def test_no_module_repeats_the_name_of_its_folder() -> None:
    """The folder says what it is about; the module says what it holds."""
    stutters = [
        str(Path(file))
        for files in modules().values()
        for file in files
        if Path(file).stem == Path(file).parent.name
    ]
    assert stutters == []
