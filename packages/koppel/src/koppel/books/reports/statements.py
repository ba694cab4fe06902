"""The SQL of the reports, put together from the parts in `sql/reports.sql`, and the values they share."""

from koppel.books.models import ACTUAL, POSTED
from koppel.kit.database.sql_files import load_statements

_SQL = load_statements("koppel.books")


def _stated_balances(periods: str) -> str:
    return _SQL["stated_balances"].format(balance_series=_SQL["balance_series"], periods=periods)


TRIAL_BALANCE = _SQL["trial_balance"].format(
    stated_balances=_stated_balances(periods=_SQL["up_to_period"]),
    posted_lines=_SQL["posted_lines"],
    up_to_period=_SQL["up_to_period"],
)
DIFFERING_ACCOUNTS = _SQL["list_differing_accounts"].format(
    stated_balances=_stated_balances(periods="true"), posted_lines=_SQL["posted_lines"]
)
MOVEMENTS_BY_PERIOD = _SQL["list_movements_by_period"].format(posted_lines=_SQL["posted_lines"])
RESULTS_BY_PERIOD = _SQL["list_results_by_period"].format(posted_lines=_SQL["posted_lines"])
CONSTANTS = {"posted": POSTED, "actual": ACTUAL}
"""Values of parameters of all these statements."""
