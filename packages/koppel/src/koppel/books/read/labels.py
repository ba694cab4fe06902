"""Labels of resources and their columns, in accountants' terms."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import override, pgettext_lazy

RESOURCES = {
    "company_details": _("Company details"),
    "accounts": _("Accounts"),
    "vat_codes": _("VAT codes"),
    "journals": _("Journals"),
    "periods": _("Periods"),
    "cost_codes": _("Cost codes and dimensions"),
    "projects": _("Projects"),
    "contacts": _("Contacts"),
    "payment_terms": _("Payment terms"),
    "balances": _("Balances in accounting system"),
    "entries": _("Entries"),
    "entry_lines": _("Entry lines"),
}
COLUMNS = {
    "account": _("Account"),
    "account_class": _("Class"),
    "active": _("In use"),
    "address": _("Address"),
    "balance_type": _("Ledger type"),
    "base_currency": _("Currency"),
    "booked_on": _("Date"),
    "branch": _("Branch"),
    "city": _("City"),
    "closed": _("Closed"),
    "closing": _("Closing balance"),
    "code": _("Code"),
    "country": _("Country"),
    "credit": _("Credit"),
    "currency": _("Currency"),
    "customer": _("Customer"),
    "days": _("Days"),
    "debit": _("Debit"),
    "debit_total": _("Total debit"),
    "description": _("Description"),
    "dimension": _("Dimension"),
    "direction": _("Direction"),
    "email": _("E-mail"),
    "contact": _("Contact"),
    "credit_total": _("Total credit"),
    "credit_in_currency": _("Credit in currency"),
    "debit_in_currency": _("Debit in currency"),
    "dimensions": _("Dimensions"),
    "ends_on": _("Until"),
    "entry": _("Entry"),
    "external_id": _("Record ID"),
    "fiscal_year": _("Fiscal year"),
    "industry_code": _("Industry code"),
    "journal": _("Journal"),
    "kind": _("Kind"),
    "ledger": _("Ledger"),
    "line_number": pgettext_lazy("of an entry", "Line"),
    "module": _("Module"),
    "name": _("Name"),
    "number": _("Number"),
    "opening": _("Opening balance"),
    "period": _("Period"),
    "phone": _("Telephone"),
    "project": _("Project"),
    "rate": _("Rate %"),
    "reference": _("Reference"),
    "reverse_charge": _("Reverse charge"),
    "starts_on": _("From"),
    "status": _("Status"),
    "valid_until": _("Valid until"),
    "vat_code": _("VAT code"),
    "vat_number": _("VAT number"),
}
SCREEN_HEADINGS = {"debit_total": _("Amount")}
"""Headings of columns that differ on a page, which shows one total of an entry."""
VALUES = {
    "asset": _("Asset"),
    "liability": _("Liability"),
    "income": _("Income"),
    "expense": _("Expense"),
    "customer": _("Customer"),
    "supplier": _("Supplier"),
    "posted": _("Posted"),
    "unposted": _("Not posted"),
    "hold": _("On hold"),
    "balanced": _("Balanced, not posted"),
    "voided": _("Voided"),
    "scheduled": _("Scheduled"),
    "unreleased": _("Not released"),
    "released": _("Released"),
    "partially_released": _("Partially released"),
    "completed": _("Completed"),
    "actual": _("Actual"),
    "budget": _("Budget"),
    "report": _("Report"),
    "statistical": _("Statistical"),
    "output": _("Sales"),
    "input": _("Purchases"),
    "both": _("Both"),
    "active": _("Active"),
    "company": _("Company"),
    "branch": _("Branch"),
    "department": _("Employee department"),
}
"""Labels of values that are the same for every source; other values are shown as the source wrote them."""
GROUPS = {
    "asset": _("Assets"),
    "liability": _("Liabilities"),
    "income": _("Income"),
    "expense": _("Expenses"),
    "": _("Other accounts"),
}
"""Headings of the groups of a trial balance, by the kind of their accounts."""
CODED = frozenset({"kind", "status", "direction", "balance_type", "dimension"})
"""Columns that hold such words. A name or a description may be the same text, and stays as it is."""


def group_label(kind: str) -> str:
    """Return the heading of a group of accounts; of an unknown kind as the source wrote it."""
    return str(GROUPS.get(kind, kind))


def screen_heading(column: str) -> str:
    """Return the heading of a column on a page; of an unknown one its name."""
    headings = COLUMNS | SCREEN_HEADINGS
    return str(headings.get(column, column))


def value_label(value: str | None) -> str:
    """Return a word of the books in the active language; an unknown one as the source wrote it."""
    return str(VALUES.get(value or "", value or ""))


def english_label(resource: str) -> str:
    """Return the label of a resource in English, which is the key of its translation."""
    with override("en"):
        return str(RESOURCES.get(resource, resource))
