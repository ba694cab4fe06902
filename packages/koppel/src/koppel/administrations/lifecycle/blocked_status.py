"""The columns of an administration that its connection blocks, with the reason."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop as _

from koppel.administrations.models import Status
from koppel.connections.companies.same_company import OTHER_COMPANY_MESSAGE

AWAITING_CONNECTION = "connection_removed"
"""In `status_code`: blocked until another connection reaches the company."""
OTHER_COMPANY = "other_company"
"""In `status_code`: blocked until a person says whether it is the same company."""


def columns_awaiting_connection() -> Mapping[str, str]:
    """Return the columns of an administration that waits for another connection."""
    reason = _("The connection was removed. Syncing resumes when another connection reaches this company.")
    return {"status": Status.BLOCKED.value, "status_code": AWAITING_CONNECTION, "status_reason": reason}


def columns_of_conflict() -> Mapping[str, str]:
    """Return the columns of an administration whose company is in conflict."""
    return {
        "status": Status.BLOCKED.value,
        "status_code": OTHER_COMPANY,
        "status_reason": OTHER_COMPANY_MESSAGE,
    }
