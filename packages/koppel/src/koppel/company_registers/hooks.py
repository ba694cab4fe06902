"""Hooks for the answer of a register."""

from koppel.company_registers.lookup_result import LookupResult
from koppel.kit.hooks import Hook

lookup_answered = Hook[[int, LookupResult, LookupResult], None]()
"""Called with an organisation and what was known before and after an answer, in scope and in the transaction
that keeps the answer: after a listener's exception the register is queried again later."""
