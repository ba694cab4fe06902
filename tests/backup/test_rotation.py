"""Which backups stay, and when the next one is due."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from koppel.cli.backup.daily_backup import BackupSchedule, next_backup, parse_backup_time
from koppel.cli.backup.manifest import folder_name
from koppel.cli.backup.rotation import delete_older, parse_retention
from koppel.kit.cli.errors import CommandError
from tests.fixtures.stack import wait_until

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAILY = parse_backup_time({"KOPPEL_BACKUP_AT": "03:30"})


def backups_of(directory: Path, days: int) -> list[str]:
    names = [folder_name(NOON - timedelta(days=day)) for day in range(days)]
    for name in names:
        (directory / name).mkdir()
        (directory / name / "manifest.json").touch()
    return names


def test_the_newest_stay(tmp_path: Path) -> None:
    names = backups_of(tmp_path, 5)
    (tmp_path / "koppel-20200101T000000Z").mkdir()  # without a manifest it is none of ours
    (tmp_path / "other").mkdir()
    retention = parse_retention("2")
    assert retention is not None
    assert [folder.name for folder in delete_older(tmp_path, retention)] == names[2:]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == sorted(
        [*names[:2], "koppel-20200101T000000Z", "other"]
    )


def test_one_of_each_day_week_and_month_stays() -> None:
    moments = [NOON - timedelta(hours=12 * half_day) for half_day in range(200)]
    retention = parse_retention("2d, 3w,3m")
    assert retention is not None
    kept = sorted(retention.select(moments), reverse=True)
    assert [moment.date().isoformat() for moment in kept] == [
        "2026-11-30",
        "2026-11-29",
        "2026-11-22",
        "2026-10-31",
        "2026-09-30",
    ]
    assert retention.select([]) == set()


@pytest.mark.parametrize("text", ["0", "7x", "-1", "d", "7d;4w"])
def test_another_rule_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="7d,4w,12m"):
        parse_retention(text)


@pytest.mark.parametrize(
    ("newest", "due"),
    [
        (None, NOON),
        (NOON - timedelta(days=2), NOON),
        (NOON - timedelta(hours=10), NOON),
        (NOON - timedelta(hours=9), datetime(2026, 12, 1, 2, 30, tzinfo=UTC)),
        (NOON, datetime(2026, 12, 1, 2, 30, tzinfo=UTC)),
    ],
)
def test_a_missed_backup_is_due_at_once(newest: datetime | None, due: datetime) -> None:
    assert DAILY is not None
    assert next_backup(NOON, DAILY, newest) == due


def test_koppel_up_writes_the_missed_backup_once(tmp_path: Path) -> None:
    folder = tmp_path / folder_name(datetime.now(UTC))
    command = ["sh", "-c", f"echo started >> {tmp_path}/log; mkdir {folder} && touch {folder}/manifest.json"]
    assert DAILY is not None
    with BackupSchedule(command, {"PATH": os.environ["PATH"]}, tmp_path, DAILY):
        wait_until((folder / "manifest.json").exists)
        time.sleep(0.2)
    assert (tmp_path / "log").read_text() == "started\n"


def test_a_backup_that_failed_is_tried_again_later(tmp_path: Path) -> None:
    command = ["sh", "-c", f"echo started >> {tmp_path}/log; exit 2"]
    assert DAILY is not None
    with BackupSchedule(command, {"PATH": os.environ["PATH"]}, tmp_path, DAILY):
        wait_until((tmp_path / "log").exists)
        time.sleep(0.2)
    assert (tmp_path / "log").read_text() == "started\n"


@pytest.mark.parametrize("text", ["3:30", "25:00", "noon", "03:30:10"])
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="03:30"):
        parse_backup_time({"KOPPEL_BACKUP_AT": text})
