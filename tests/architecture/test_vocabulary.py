"""docs/vocabulary.md and the code name the same things: each model has a row, and each row names what
exists.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps

VOCABULARY = Path(__file__).resolve().parents[2] / "docs" / "vocabulary.md"
NOT_IN_CODE = "–"


def rows() -> list[tuple[list[str], list[str]]]:
    """Words of each row, and the names that stand behind them."""
    lines = [line.strip("| ").split(" | ") for line in VOCABULARY.read_text(encoding="utf-8").splitlines()]
    cells = [line for line in lines if len(line) == 3 and line[0] != "Word"]
    return [
        (words.split(", "), re.findall(r"`([^`]+)`", where) or [where]) for words, _meaning, where in cells
    ]


def model_names() -> set[str]:
    """`app.Model` of every model of Koppel's own apps."""
    return {
        f"{model._meta.app_label}.{model.__name__}"
        for model in apps.get_models()
        if model.__module__.startswith("koppel.")
    }


def exists(name: str) -> bool:
    """A model, a module or package, or a name in a module: of Koppel, or of the library of ledger formats."""
    if name in model_names():
        return True
    qualified = name if name.startswith("ledger_formats.") else f"koppel.{name}"
    parent, _dot, attribute = qualified.rpartition(".")
    module = import_module(parent)
    return hasattr(module, attribute) or find_spec(f".{attribute}", parent) is not None


def test_every_model_has_a_row() -> None:
    named = {name for _words, names in rows() for name in names}
    assert sorted(model_names() - named) == []


def test_every_row_names_what_exists() -> None:
    names = {name for _words, names in rows() for name in names if name != NOT_IN_CODE}
    assert len(names) > 50
    assert [name for name in sorted(names) if not exists(name)] == []


def test_every_word_has_one_meaning() -> None:
    words = [word for words, _names in rows() for word in words]
    assert sorted({word for word in words if words.count(word) > 1}) == []
