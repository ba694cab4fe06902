"""Amounts of money inside a sentence, in the reader's locale."""

from decimal import ROUND_HALF_UP, Decimal

from django.utils.formats import number_format
from django.utils.translation import get_language

_CENT = Decimal("0.01")
_MINUS = "\u2212"
_NO_BREAK_SPACE = "\u00a0"
_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


def format_money(amount: Decimal, currency: str = "") -> str:
    """Return `-21410.83` of EUR as `−€21,410.83`, in Dutch `−€ 21.410,83`.

    A currency without a symbol shows its code; without a currency the amount stands alone.
    """
    text = str(
        number_format(abs(amount).quantize(_CENT, ROUND_HALF_UP), 2, use_l10n=True, force_grouping=True)
    )
    if currency:
        symbol = _SYMBOLS.get(currency, currency)
        is_close = symbol != currency and not (get_language() or "").startswith("nl")
        text = f"{symbol}{'' if is_close else _NO_BREAK_SPACE}{text}"
    return f"{_MINUS}{text}" if amount < 0 else text
