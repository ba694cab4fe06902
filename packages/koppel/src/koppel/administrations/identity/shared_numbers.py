"""Issues of administrations whose number another administration has too.

The later one gets the issue, unless one of the two continues the other or a person gave the reason. The issue
holds the ids of the others and names none. Only those who see one of these may read it: otherwise it would
tell that a client that they may not see has this number.
"""

from collections import defaultdict
from collections.abc import Collection

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.issue_types import AdministrationIssue
from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues_bulk

SHARED_REASONS: dict[str, Promise] = {
    "several_administrations": _("One company, several administrations"),
    "branch": _("Branch of the same company"),
    "earlier_administration": _("Earlier administration of the same company"),
}
"""Why several administrations have one number."""


def update_shared_number_issues(organisation_id: int, changed_ids: Collection[int]) -> None:
    """Raise the issue for those of the changed administrations that share their number, and resolve it for
    all that no longer do.
    """
    issues = Issue.objects.in_organisation(organisation_id).filter(
        code=AdministrationIssue.NUMBER_SHARED, subject_kind=SubjectKind.ADMINISTRATION, resolved_at=None
    )
    open_ids = set(issues.values_list("subject_id", flat=True))
    candidates = Administration.objects.in_organisation(organisation_id).filter(
        pk__in={*changed_ids, *open_ids}, withdrawn_at=None
    )
    sharing = _sharing(organisation_id, list(candidates))
    for administration, others in sharing.items():
        if administration.pk in changed_ids or administration.pk in open_ids:
            subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
            facts = {"name": administration.name, "administration_ids": ",".join(map(str, others))}
            raise_issue(organisation_id, AdministrationIssue.NUMBER_SHARED, subject, facts)
    ended = open_ids - {administration.pk for administration in sharing}
    resolve_issues_bulk(
        organisation_id, SubjectKind.ADMINISTRATION, ended, [AdministrationIssue.NUMBER_SHARED]
    )


def _sharing(organisation_id: int, candidates: Collection[Administration]) -> dict[Administration, list[int]]:
    """Return the candidates whose number others have that neither continue nor are continued by them, without
    a reason, with the ids of these others. Of two candidates with one number, the newer.
    """
    numbers = {administration.number for administration in candidates} - {""}
    others = Administration.objects.in_organisation(organisation_id).filter(
        number__in=numbers, withdrawn_at=None
    )
    by_number: dict[tuple[str, str], list[Administration]] = defaultdict(list)
    columns = ("organisation", "number", "number_scheme", "predecessor", "shared_number_answer", "import_id")
    for other in others.only(*columns, "created_at").order_by("pk"):
        by_number[(other.number, other.number_scheme)].append(other)
    candidate_ids = {administration.pk for administration in candidates}
    sharing = {
        administration: [
            other.pk
            for other in by_number[(administration.number, administration.number_scheme)]
            if _is_shared(administration, other, candidate_ids)
        ]
        for administration in candidates
    }
    return {administration: others for administration, others in sharing.items() if others}


def _is_shared(administration: Administration, other: Administration, candidate_ids: set[int]) -> bool:
    is_continuation = other.pk == administration.predecessor_id or administration.pk == other.predecessor_id
    if administration.pk == other.pk or is_continuation:
        return False
    if _explains(administration, other) or _explains(other, administration):
        return False
    return other.pk < administration.pk or other.pk not in candidate_ids


def _explains(administration: Administration, other: Administration) -> bool:
    """Return whether a person gave the reason for this number when the other had it already, or was imported
    with it.
    """
    answer = administration.shared_number_answer
    if not answer or answer.number != administration.number:
        return False
    is_same_import = administration.import_id is not None and administration.import_id == other.import_id
    return is_same_import or other.created_at.isoformat() <= answer.at
