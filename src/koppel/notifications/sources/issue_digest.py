"""New issues are told in bundles: an import that finds forty is one notice, and what was put right meanwhile is left out.

Raising an issue costs a sync nothing here: what is new and still open is found afterwards.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.issues.models import Issue
from koppel.issues.queries import sentence_of
from koppel.notifications import event_types
from koppel.notifications.audience.hooks import Subject, subject_of
from koppel.notifications.events.services import announce

EVENT = "issue_raised"
CONFIRM_FOR = timedelta(minutes=10)
"""What the next sync or a colleague puts right by then was never trouble."""
BUNDLE_MAX = 2000


def register() -> None:
    event_types.register(
        EVENT,
        _("%(name)s needs you: %(sentence)s"),
        collective=_("%(issues)s issues need you. They are about: %(names)s"),
        label=_("An issue was raised"),
        counts="issues",
        by_administration=True,
        fill=_words,
        repeats=True,
    )


def tell_new_issues(organisation_id: int) -> int:
    """One notice to each responsible person about all that is new and did not heal. How many issues. In scope."""
    waiting = Issue.objects.select_for_update(skip_locked=True).filter(
        organisation_id=organisation_id, resolved_at=None, told_at=None, raised_at__lt=timezone.now() - CONFIRM_FOR
    )
    found = list(waiting.order_by("raised_at", "pk")[:BUNDLE_MAX])
    own = Issue.objects.filter(organisation_id=organisation_id, pk__in=[one.pk for one in found])
    own.update(told_at=timezone.now())
    covered = event_types.covered_issues()
    subjects: dict[tuple[str, int], Subject] = {}
    bundles: dict[int | None, list[Issue]] = {}
    for issue in found:
        if issue.code not in covered:
            about = (issue.subject_kind, issue.subject_id)
            subjects.setdefault(about, subject_of(organisation_id, about))
            bundles.setdefault(subjects[about].responsible, []).append(issue)
    for responsible, issues in bundles.items():
        _tell(organisation_id, responsible, issues, subjects)
    return len(found)


def _tell(
    organisation_id: int,
    responsible: int | None,
    issues: list[Issue],
    subjects: Mapping[tuple[str, int], Subject],
) -> None:
    """Issues of administrations are told by administration, so that a colleague hears of those he or she may see."""
    facts: dict[str, Any] = {}
    administrations: dict[int, dict[str, Any]] = {}
    for issue in issues:
        name = subjects[issue.subject_kind, issue.subject_id].name
        place = facts if issue.subject_kind != "administration" else administrations.setdefault(issue.subject_id, {})
        place.setdefault("name", name)
        place.setdefault("names", name)
        place.setdefault("issue", {"code": issue.code, "facts": issue.facts})
        place["issues"] = place.get("issues", 0) + 1
    announce(
        organisation_id,
        EVENT,
        f"issues {issues[0].pk}",
        responsible=responsible,
        administrations=administrations,
        facts=facts,
        link="/issues/",
    )


def _words(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first issue's sentence; the issue itself may be gone by the time somebody reads about it."""
    found = facts.get("issue")
    if not isinstance(found, dict):
        return {}
    return {"sentence": sentence_of(found.get("code", ""), found.get("facts", {}))}
