"""The signs of stated balances: whether credit balances of liabilities and income are negative or positive.

The description does not say. It has a parameter, `toggleBalanceSigns`, which "can be used in order to change
the balance sign for liability and income accounts", but it does not state the sign without it, so Koppel does
not send it. A balance that moved shows its sign by its own arithmetic; the others follow it.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from koppel.connector.contract import Record
from koppel.connectors.visma_net.normalise import BY_ACCOUNT, BalanceWire, has_credit_side
from koppel.connectors.visma_net.record_mapping import without_stamps

BY_DEBIT = "debit"
_wire = msgspec.json.Decoder(BalanceWire)


def signs_of(records: Iterable[Record]) -> str:
    """Return `BY_ACCOUNT` when credit balances of liabilities and income are positive, `BY_DEBIT` when they
    are negative, and '' when these balances do not show it.

    The first balance that moved decides; without one, opening balances that add up to zero under one reading.
    """
    assets = liabilities = Decimal(0)
    for record in records:
        try:
            balance = _wire.decode(record.raw)
        except msgspec.DecodeError:  # rejected when it is normalised
            continue
        if not has_credit_side(balance):
            assets += balance.beginningBalance
            continue
        liabilities += balance.beginningBalance
        movement = balance.periodToDateDebit - balance.periodToDateCredit
        change = balance.yearToDateBalance - balance.beginningBalance
        if movement and abs(change) == abs(movement):
            return BY_DEBIT if change == movement else BY_ACCOUNT
    if not liabilities or abs(liabilities) != abs(assets):
        return ""
    return BY_ACCOUNT if liabilities == assets else BY_DEBIT


def with_signs(record: Record) -> Record:
    """Return the record with Koppel's own field that says that its sign follows the account."""
    payload = b'{"signs":"' + BY_ACCOUNT.encode() + b'",' + record.raw[1:]
    return msgspec.structs.replace(record, raw=payload, comparison_key=without_stamps(payload))
