"""Template filters that format amounts, periods and labels of the books."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django import template
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from koppel.administrations.models import Administration
from koppel.books.models import EntryLine
from koppel.books.read.labels import CODED, value_label
from koppel.connector.period_format import format_period
from koppel.connector.registry import system_title

register = template.Library()
CENT = Decimal("0.01")
MINUS = "\u2212"


@register.filter
def amount(value: Decimal | None) -> str:
    """Format an amount: two decimals, the language's thousands separator, a real minus sign.

    '' for None.
    """
    if not isinstance(value, Decimal):
        return ""
    rounded = value.quantize(CENT, ROUND_HALF_UP) if value.adjusted() < 24 else value
    text = str(number_format(abs(rounded), 2, use_l10n=True, force_grouping=True))
    return f"{MINUS}{text}" if rounded < 0 else text


@register.filter
def plain_amount(value: Decimal) -> str:
    """Format an amount for scripts: plain digits with a point."""
    return f"{value:f}"


@register.filter
def amount_or_dash(value: Decimal | None) -> str:
    return (amount(value) if value else "") or "–"


@register.filter
def net_in_currency(line: EntryLine) -> Decimal:
    """Return the debit less the credit of an entry line in its own currency."""
    net: Decimal = (line.debit_in_currency or Decimal(0)) - (line.credit_in_currency or Decimal(0))
    return net


@register.filter
def word(value: str | None) -> str:
    """Translate a value of the books; an unknown one is shown as the source wrote it."""
    return value_label(value)


@register.filter
def period(value: str | None) -> str:
    """Format a period: `2026-11`."""
    return format_period(value or "")


@register.filter
def system(administration: Administration) -> str:
    """Name the accounting system of an administration."""
    return system_title(administration.connection.connector) or gettext("the accounting system")


@register.filter
def cell(value: Any) -> str:
    """Format any value of a table's column."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, Decimal):
        return amount(value)
    if isinstance(value, date):
        return date_format(value, "SHORT_DATE_FORMAT")
    return str(value)


@register.filter
def in_column(value: Any, column: str) -> str:
    """Format a value of the books as its column does: periods, translated words, dates, amounts."""
    if column == "period":
        return format_period(value or "")
    return value_label(value) if column in CODED else cell(value)


@register.simple_tag
def amount_cell(value: Decimal | None, label: str = "") -> SafeString:
    """Write an amount as a cell of a table; zero and no amount are a grey dash.

    `label` names it where rows are cards.
    """
    text = amount_or_dash(value)
    return format_html(
        '<td class="number{}"{}>{}</td>',
        " zero" if text == "–" else "",
        format_html(' data-label="{}"', label) if label else "",
        text,
    )


@register.simple_tag(takes_context=True)
def with_query(context: Any, **values: Any) -> str:
    """Return this page's address with other values in its query string; '' or None removes a value.

    Without `page` among the values it leads to the first page.
    """
    query = context["request"].GET.copy()
    query.pop("page", None)
    for name, value in values.items():
        query.pop(name, None)
        if value not in ("", None) and (name, value) != ("page", 1):
            query[name] = str(value)
    return f"?{query.urlencode()}"
