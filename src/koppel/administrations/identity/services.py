"""Who an administration is, after its import: changed by a person, checked with the register at once and every year.

The register's answer fills in the sector where there is none, withdraws a doubt about the number, and raises an issue when the
company was closed or renamed. It never changes a number or a name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.administrations.scope import not_there, visible_to
from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.company_registers.identity import Identity, Problem, check_identity
from koppel.company_registers.lookups import Finding, known, question_about, register_after_answer, request_lookups
from koppel.company_registers.numbers import masked
from koppel.company_registers.protocol import Kind, Outcome, Question
from koppel.issues import issue_types as issues
from koppel.issues.services import raise_issue, resolve_for_many, resolve_issues
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission

CLOSED, RENAMED, INCOMPLETE = "company_closed", "legal_name_changed", "identity_incomplete"
NOT_FOUND = "not_found"
"""A number's note: its register does not know it."""
REGISTER = AuditActor(ActorKind.JOB, None, "Koppel")
COLUMNS = ("number", "number_scheme", "number_note", "no_number_reason", "sector", "sector_scheme")
DOUBTS_A_REGISTER_SETTLES = (NOT_FOUND, "looks_mistyped", "zero_added")


def register() -> None:
    """Once, when the slice starts."""
    button = _("Look at it")
    issues.register(
        CLOSED,
        issues.Entry(
            _("%(name)s was closed according to the register (%(closed_on)s)."),
            _("Is it a client still? Deactivate it, note that the client left, or correct its number."),
            button,
            _page,
        ),
    )
    issues.register(
        RENAMED,
        issues.Entry(
            _("The register calls %(old)s %(new)s now."),
            _("Change the name in the accounting system too."),
            button,
            _page,
        ),
    )
    issues.register(
        INCOMPLETE,
        issues.Entry(
            _("It is not known which company this is."),
            _("Enter its number, or choose a reason and a sector."),
            _("Complete it"),
            _page,
        ),
    )
    register_after_answer(answered)


def identify(
    actor: Actor,
    administration_id: int,
    *,
    number: str,
    reason: str = "",
    sector: str = "",
    same_company: bool = False,
) -> Identity | list[Problem]:
    """Store who it is and have its register asked. The problems when it is incomplete or wrong. Raises `NotThere`.

    A new number that the register is known to call otherwise needs `same_company`: somebody says that it is the same one."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    one = visible_to(actor).select_for_update(of=("self",)).filter(pk=administration_id).first()
    if one is None:
        raise not_there(actor, administration_id)
    found = check_identity(country=one.country, number=number, reason=reason, sector=sector)
    if isinstance(found, list):
        return found
    register_name = other_name(one, found.number) if found.number != one.number else ""
    if register_name and not same_company:
        sentence = _("The register calls this number “%(register)s”. Is this the same company?")
        return [Problem("same_company", "same_company", sentence % {"register": register_name})]
    if register_name:
        confirm(actor, one, register_name, found.number)
    before = {name: getattr(one, name) for name in COLUMNS}
    for name in COLUMNS:
        setattr(one, name, getattr(found, name))
    after = {name: getattr(one, name) for name in COLUMNS}
    if after != before:
        one.save(update_fields=list(COLUMNS))
        details = {"before": _told(one, before), "after": _told(one, after)}
        record(actor.organisation_id, actor.audit, "administration.identified", subject=_subject(one), details=details)
        resolve_issues(one.organisation_id, ("administration", one.pk), CLOSED, RENAMED, INCOMPLETE)
    ask(actor, [one.pk])
    return found


def renumbered(actor: Actor, one: Administration) -> None:
    """It has another number: what was said of the old one, or of none, no longer holds, and its register is asked."""
    resolve_issues(one.organisation_id, ("administration", one.pk), CLOSED, RENAMED, INCOMPLETE)
    ask(actor, [one.pk])


def ask(actor: Actor, administration_ids: Sequence[int], *, again: bool = False) -> int:
    """Have the registers asked about these by a worker; what is known already is applied now. How many will be asked.
    Raises `Quarantined`."""
    quarantine.refuse()
    found = list(visible_to(actor).filter(pk__in=administration_ids))
    return _look_up(actor.organisation_id, found, again=again)


def after_import(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """In the import's own transaction: issues for what may be completed later, registers asked about the others."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk__in=administration_ids)
    found = list(own)
    for one in found:
        if not is_complete(one):
            raise_issue(organisation_id, INCOMPLETE, ("administration", one.pk), {"name": one.name})
    _look_up(organisation_id, found, again=False)


def record_confirmed(actor: Actor, administration_ids: Sequence[int]) -> None:
    """Keep in the trail which of these a person confirmed to be the same company, and by which name and number."""
    own = Administration.objects.filter(organisation_id=actor.organisation_id, pk__in=administration_ids)
    for one in own.exclude(confirmed_identity={}):
        said = one.confirmed_identity
        details = {"confirmed_name": said["name"], "confirmed_number": masked(said["number"], one.country)}
        record(
            actor.organisation_id, actor.audit, "administration.same_company", subject=_subject(one), details=details
        )


def other_name(one: Administration, number: str) -> str:
    """The register's name of this number where it is another one than ours; '' when a person said that it is the same."""
    return other_names(one.organisation_id, [(one, number)]).get(one.pk, "") if number else ""


def other_names(organisation_id: int, numbers: Iterable[tuple[Administration, str]]) -> dict[int, str]:
    """`other_name` of many, by administration, where there is one."""
    asked = {one.pk: (one, number, question_about(one.country, number)) for one, number in numbers}
    findings = known(organisation_id, [question for _one, _number, question in asked.values() if question])
    found: dict[int, str] = {}
    for key, (one, number, question) in asked.items():
        finding = findings.get(question) if question else None
        if finding and finding.question.kind is Kind.NUMBER and finding.is_named_otherwise(one.name):
            said = one.confirmed_identity
            is_said = said.get("number") == number and not finding.is_named_otherwise(said["name"])
            found |= {} if is_said else {key: finding.legal_name}
    return found


def confirm(actor: Actor, one: Administration, name: str, number: str) -> None:
    """A person says that the register's company of this name and number is this one."""
    at = timezone.now().isoformat()
    one.confirmed_identity = {"name": name, "number": number, "by": actor.membership_id, "at": at}
    one.save(update_fields=["confirmed_identity"])
    record_confirmed(actor, [one.pk])


def is_confirmed(one: Administration, finding: Finding | None) -> bool:
    """Whether a person has said of exactly this name and number that it is the same company."""
    said = one.confirmed_identity
    is_same_number = said.get("number") == one.number
    return bool(said and finding and is_same_number and not finding.is_named_otherwise(said["name"]))


def set_in_bulk(organisation_id: int, columns: Mapping[int, Collection[str]]) -> None:
    """After identities of many were set, or set back: what is said of their completeness, and of companies they no longer are.
    `columns`: those that changed. Their registers are asked within the hour, as after an import."""
    touched = [key for key, names in columns.items() if set(COLUMNS) & set(names)]
    found = Administration.objects.filter(organisation_id=organisation_id, pk__in=touched)
    complete = {one.pk for one in found if is_complete(one)}
    resolve_for_many(organisation_id, "administration", complete, [INCOMPLETE])
    renumbered = [key for key in touched if "number" in columns[key]]
    resolve_for_many(organisation_id, "administration", renumbered, [CLOSED, RENAMED])
    for one in found:
        if one.pk not in complete:
            raise_issue(organisation_id, INCOMPLETE, ("administration", one.pk), {"name": one.name})


def is_complete(one: Administration) -> bool:
    return bool(one.number or (one.no_number_reason and one.sector))


def question_of(one: Administration) -> Question | None:
    """What its register can be asked; None without a number, or where no register answers."""
    return question_about(one.country, one.number) if one.number else None


def finding_of(one: Administration) -> Finding | None:
    question = question_of(one)
    return known(one.organisation_id, [question]).get(question) if question else None


def settle(actor: Actor, administration_id: int) -> int:
    """Somebody has seen that the company was closed or renamed: it is not asked again until the register says something new."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    one = visible_to(actor).filter(pk=administration_id).first()
    if one is None:
        raise not_there(actor, administration_id)
    if name := other_name(one, one.number):
        confirm(actor, one, name, one.number)
    subject = ("administration", one.pk)
    count = sum(resolve_issues(one.organisation_id, subject, code) for code in (CLOSED, RENAMED))
    if count:
        record(actor.organisation_id, actor.audit, "administration.register_seen", subject=_subject(one))
    return count


def answered(organisation_id: int, before: Finding, after: Finding) -> None:
    """A register answered about a number: for every administration that carries it. In the answer's transaction."""
    question = after.question
    if question.kind is not Kind.NUMBER:
        return
    carriers = Administration.objects.select_for_update().filter(
        organisation_id=organisation_id, country=question.country, number=question.value, withdrawn_at=None
    )
    for one in carriers:
        _apply(one, before, after)


def _look_up(organisation_id: int, found: Sequence[Administration], *, again: bool) -> int:
    questions = {one.pk: question_of(one) for one in found}
    asked = [question for question in questions.values() if question]
    there = known(organisation_id, asked)
    for one in found:
        question = questions[one.pk]
        if question in there and there[question].answered_at and not again:
            _apply(one, there[question], there[question])
    return request_lookups(organisation_id, asked, again=again)


def _apply(one: Administration, before: Finding, after: Finding) -> None:
    subject = ("administration", one.pk)
    if after.outcome is Outcome.CLOSED:
        closed_on = after.closed_on.isoformat() if after.closed_on else "–"
        if before.outcome is not Outcome.CLOSED or before is after:
            facts = {"name": after.legal_name or one.name, "closed_on": closed_on}
            raise_issue(one.organisation_id, CLOSED, subject, facts)
    elif after.outcome is Outcome.FOUND:
        resolve_issues(one.organisation_id, subject, CLOSED)
    if before.exists and before.legal_name and after.is_named_otherwise(before.legal_name):
        facts = {"old": before.legal_name, "new": after.legal_name}
        raise_issue(one.organisation_id, RENAMED, subject, facts)
    changed = _changed(one, after)
    if changed:
        for name, value in changed.items():
            setattr(one, name, value)
        one.save(update_fields=list(changed))
        record(
            one.organisation_id, REGISTER, "administration.register_answered", subject=_subject(one),
            details={"source": after.source, **changed},
        )  # fmt: skip


def _changed(one: Administration, after: Finding) -> Mapping[str, Any]:
    """The columns that the answer fills in: the sector where there is none, and the doubt about the number."""
    changed: dict[str, Any] = {}
    if not one.sector and after.sector is not None:
        changed |= {"sector": after.sector.letter, "sector_scheme": after.sector.revision}
    if after.exists and one.number_note in DOUBTS_A_REGISTER_SETTLES:
        changed["number_note"] = ""
    # VIES knows only who is registered for VAT: its silence is no doubt.
    if after.outcome is Outcome.NOT_FOUND and after.source != "vies" and not one.number_note:
        changed["number_note"] = NOT_FOUND
    return changed


def _told(one: Administration, columns: Mapping[str, Any]) -> dict[str, Any]:
    """For the trail, which is listed and exported: a person's number is masked."""
    return {**columns, "number": masked(columns["number"], one.country)}


def _subject(one: Administration) -> tuple[str, int, str]:
    return "administration", one.pk, one.name


def _page(administration_id: int, _facts: Mapping[str, Any]) -> str:
    return f"/administrations/{administration_id}/identity/"
