"""Formats a fiscal period for people.

The API, exports, SQL and URLs keep `YYYYPP`.
"""


def format_period(period: str) -> str:
    """Return `202611` as `2026-11`.

    A period is not always a month, and a year may have thirteen, so no month is named.
    """
    return f"{period[:4]}-{period[4:]}" if len(period) == 6 and period.isdecimal() else period
