"""Calls in progress that other processes cannot see is warned about."""

from pathlib import Path

import pytest
import structlog

from koppel.kit.http import calls_in_progress


def test_an_unwritable_lock_file_is_warned_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file belongs to another account; a directory in its place refuses whoever runs this test too."""
    path = tmp_path / "token-calls.lock"
    path.mkdir()
    monkeypatch.setattr(calls_in_progress, "_warned_paths", set())
    with structlog.testing.capture_logs() as lines:
        for _attempt in range(3):
            with calls_in_progress.CallsInProgress(path).track():
                assert not calls_in_progress.is_call_in_progress(path)
    assert [line["event"] for line in lines] == ["call_in_progress_untracked"]
    assert lines[0]["log_level"] == "warning"
