"""Commands print stored names verbatim."""

import os
import zipfile
from pathlib import Path

import pytest

from koppel.cli.checks.support_bundle import write_bundle
from koppel.kit.cli.output import print_rows


@pytest.mark.parametrize("name", ["Jansen [oud] B.V.", "Bakkerij [/] Zoon", "[red]Rood[/red]"])
def test_a_name_with_brackets_is_printed_verbatim(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"name": name}], ("name",), as_json=False)
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            "postgresql://koppel_app:hush@one:5432,two:5433/koppel?sslmode=require",
            "postgresql://one:5432,two:5433/koppel",
        ),
        ("smtps://koppel%40noord.example:hush@mail.noord.example:587", "smtps://mail.noord.example:587"),
        ("host=one user=koppel_app password=hush", "set"),
    ],
)
def test_a_support_bundle_reduces_urls_to_their_host(
    address: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_database: None
) -> None:
    monkeypatch.setenv("KOPPEL_SMTP_URL", address)
    write_bundle(tmp_path / "bundle.zip", [])
    with zipfile.ZipFile(tmp_path / "bundle.zip") as parts:
        settings = parts.read("settings.json").decode()
    assert f'"KOPPEL_SMTP_URL": "{expected}"' in settings
    assert "hush" not in settings
    assert os.environ["KOPPEL_VAULT_KEYS"] not in settings
