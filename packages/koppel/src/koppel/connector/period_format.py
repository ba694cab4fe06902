"""How a fiscal period is written for a person. Everything else (API,
exports, SQL, addresses) keeps `YYYYPP`."""


def format_period(period: str) -> str:
    """Return `202611` as `2026-11`. A period is not always a month, and there
    may be a thirteenth, so no month is named."""
    return f"{period[:4]}-{period[4:]}" if len(period) == 6 and period.isdecimal() else period
