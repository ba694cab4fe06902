"""Unfinished work that other processes cannot see is warned about."""

from pathlib import Path

import pytest
import structlog

from koppel.kit.http import unfinished_calls


def test_an_unwritable_lock_file_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file belongs to another account; a directory in its place refuses whoever runs this test too."""
    path = tmp_path / "token-calls.lock"
    path.mkdir()
    monkeypatch.setattr(unfinished_calls, "_warned", set())
    with structlog.testing.capture_logs() as lines:
        for _attempt in range(3):
            with unfinished_calls.Unfinished(path).at_work():
                assert not unfinished_calls.is_unfinished(path)
    assert [line["event"] for line in lines] == ["unfinished_work_unseen"]
    assert lines[0]["log_level"] == "warning"
