"""LibreOffice in Dutch opens the exports: what it takes for a number, a date or a text."""

import io
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.utils import translation

from koppel.kit.tabular.writers import Format, write_table
from tests.fixtures.requirements import LIBREOFFICE, skip_without
from tests.kit.test_tabular_writers import COLUMNS, ROWS

pytestmark = pytest.mark.drill

LANGUAGES = {"nl": (";", 1043), "en": (",", 2057)}
"""The delimiter of its locale, and the number by which LibreOffice knows the language."""


def open_in_libreoffice(tmp_path: Path, language: str, file_format: Format) -> Any:
    """The first sheet as LibreOffice has read it."""
    if shutil.which("soffice") is None:
        skip_without(LIBREOFFICE)
    path = tmp_path / f"export.{file_format.extension}"
    with translation.override(language), write_table(file_format, COLUMNS, ROWS, title="Export") as file:
        path.write_bytes(file.read())
    delimiter, number = LANGUAGES[language]
    # Delimiter, quote, UTF-8, first line, formats, language, quoted cells are no texts, find numbers.
    options = f"CSV:{ord(delimiter)},34,76,1,,{number},false,true"
    reading = [f"--infilter={options}"] if file_format is Format.CSV else []
    target = tmp_path / "opened"
    command = ["soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile", *reading]
    command += ["--convert-to", "xlsx", "--outdir", str(target), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return openpyxl.load_workbook(io.BytesIO((target / "export.xlsx").read_bytes())).active


@pytest.mark.parametrize("file_format", [Format.CSV, Format.EXCEL])
@pytest.mark.parametrize("language", LANGUAGES)
def test_amounts_are_numbers_days_are_days_and_nothing_is_computed(
    tmp_path: Path, language: str, file_format: Format
) -> None:
    sheet = open_in_libreoffice(tmp_path, language, file_format)
    assert [cell.value for cell in sheet[1]] == ["Name", "Amount", "Lines", "In use", "Date", "At"]
    name, amount, count, in_use, day, moment = sheet[2]
    assert (amount.value, amount.data_type, count.value) == (1234.77, "n", 3)
    assert (day.value, moment.value) == (datetime(2026, 1, 2), datetime(2026, 3, 1, 13, 30))  # noqa: DTZ001
    assert in_use.value == {"nl": "ja", "en": "yes"}[language]
    assert (str(name.value).lstrip("'"), name.data_type) == ("=cmd()", "s")
