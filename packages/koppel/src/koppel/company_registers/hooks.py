"""Hooks for the answer of a register."""

from koppel.company_registers.lookup_result import LookupResult
from koppel.kit.hooks import Hook

lookup_answered = Hook[[int, LookupResult, LookupResult], None]()
"""Called with an organisation and the results before and after an answer, in scope and in the transaction
that stores the answer.

After an exception of a listener the register is queried again later.
"""
