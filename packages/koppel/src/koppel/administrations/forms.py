"""Forms of the pages of administrations: one administration, the views of the list, and bulk work."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from koppel.administrations.bulk import ActionForm, BulkAction, Choices, bulk_actions, get_action
from koppel.administrations.effective_settings import DEFAULTS, EffectiveSettings
from koppel.administrations.inputs import (
    AdministrationInput,
    BulkInput,
    IdentityInput,
    OffboardingInput,
    SettingsInput,
    WithdrawalInput,
)
from koppel.administrations.issues.inputs import (
    COMMENT_LENGTH_MAX,
    CommentInput,
    IssueActionInput,
    IssueActionName,
)
from koppel.administrations.list.query import NONE
from koppel.administrations.models import Administration
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import resolve_sector
from koppel.kit.web.forms import (
    ChoiceField,
    DayField,
    FlagField,
    Form,
    IdField,
    IdsField,
    Invalid,
    TextField,
    TextFileField,
)
from koppel.kit.web.parameters import id_of
from koppel.kit.web.schemas import NAME_LENGTH_MAX, Input
from koppel.organisations.forms.settings_values import SettingsForm
from koppel.organisations.settings_schema import notification_audiences

UPLOAD_BYTES_MAX = 5 * 1024 * 1024
AUDIENCE_PREFIX = "notify-"


class QueryField(forms.CharField):
    """The query string of a list, read by `parse_query_string`, which also refuses a long one.

    It is never stripped: a blank query is not the empty query, which means all.
    """

    def __init__(self) -> None:
        super().__init__(required=False, strip=False)


class AdministrationForm(Form[AdministrationInput]):
    """The fields of one administration.

    `was_…` is what the page showed: only a difference from it is a change, because a colleague may have
    changed other fields in the meantime. The view makes two inputs of it: an `AdministrationInput`
    (`changes`) and a `RestrictionInput`.
    """

    input_type = AdministrationInput

    client_number = TextField(max_length=60)
    was_client_number = TextField(max_length=60)
    division = IdField()
    was_division = IdField()
    template = IdField()
    was_template = IdField()
    people = IdsField()
    listed = IdsField()
    was_people = IdsField()
    access = ChoiceField(choices=[("open", "open"), ("restricted", "restricted")])
    was_access = ChoiceField(choices=[("open", "open"), ("restricted", "restricted")])

    def changes(self, administration: Administration, *, may_assign: bool) -> dict[str, Any]:
        """Return what differs from the page: client number, and division and template for those who may
        assign. Raises `Invalid`.
        """
        values = self.values
        stored = {
            "client_number": administration.client_number,
            "division": administration.division_id,
            "template": administration.template_id,
        }
        names = stored if may_assign else ("client_number",)
        before = {
            name: values[f"was_{name}"] if f"was_{name}" in self.data else stored[name] for name in names
        }
        return {name: values[name] for name in names if values[name] != before[name]}

    def field_values(self, administration: Administration, assigned_ids: Iterable[int]) -> dict[str, Any]:
        """Return what the page shows in each field: what was sent when that was refused, else what is stored.
        Access that a colleague changed meanwhile is shown as it is now, with its people: saving again must
        not take that back unseen.
        """
        access = "restricted" if administration.restricted else "open"
        stored: dict[str, Any] = {
            "client_number": administration.client_number,
            "division": _id_text(administration.division_id),
            "template": _id_text(administration.template_id),
            "people": [_id_text(membership_id) for membership_id in assigned_ids],
            "access": access,
        }
        stored |= {f"was_{name}": value for name, value in stored.items()}
        typed = {name: self[name].value() for name in stored if name in self.data}
        if "listed" in self.data:  # else the page had no boxes; with them, no tick is an answer as well
            typed["people"] = self["people"].value()
        if "was_access" in self.data:
            typed["was_people"] = self["was_people"].value()
        if typed.get("was_access", access) != access:
            typed = {
                name: value
                for name, value in typed.items()
                if name.removeprefix("was_") not in ("access", "people")
            }
        elif typed.get("access") not in ("open", "restricted"):
            typed.pop("access", None)
        return stored | typed


def _id_text(row_id: int | None) -> str:
    return "" if row_id is None else str(row_id)


class SettingsPageForm(SettingsForm[SettingsInput]):
    """The settings of one administration; `reset` names the setting that follows the template or organisation
    again.
    """

    input_type = SettingsInput

    reset = TextField(max_length=80)

    def changes(self, administration: Administration, effective: EffectiveSettings) -> SettingsInput:
        """Return the settings to store: values that differ from those in force, and None for a reset one.
        Raises `Invalid`.
        """
        return SettingsInput(values=self._changed_values(administration, effective))

    def _changed_values(self, administration: Administration, effective: EffectiveSettings) -> dict[str, Any]:
        if key := self.values["reset"]:
            return _reset(administration, key)
        requested = {**self.settings_values(), "resources": self.values["resources"]}
        audiences = {
            event: audience
            for event, audience in requested.pop("notify", {}).items()
            if audience != effective.notify[event]
        }
        changes = {key: value for key, value in requested.items() if not _is_effective(effective, key, value)}
        return changes | (
            {"notify": notification_audiences(administration.settings) | audiences} if audiences else {}
        )

    def field_values(self, effective: EffectiveSettings) -> dict[str, Any]:
        """Return what the page shows in each field: what was sent when that was refused, else what is in
        force.
        """
        if self.is_bound:
            return {name: self[name].value() for name in self.fields}
        return {
            "resources": effective.resources,
            "fiscal_years_back": effective.fiscal_years_back,
            "schedule": effective.schedule,
            "full_comparison_weekday": str(effective.full_comparison_weekday),
            **{f"{AUDIENCE_PREFIX}{event}": audience for event, audience in effective.notify.items()},
        }


def _reset(administration: Administration, key: str) -> dict[str, Any]:
    event = key.removeprefix(AUDIENCE_PREFIX)
    if event == key:
        return {key: None} if key in DEFAULTS else {}
    own_audiences = notification_audiences(administration.settings)
    return {"notify": {name: audience for name, audience in own_audiences.items() if name != event} or None}


def _is_effective(effective: EffectiveSettings, key: str, value: Any) -> bool:
    if key == "resources":
        return set(value) == set(effective.resources)
    return bool(getattr(effective, key) == value)


class FavouriteForm(Form[Input]):
    """Whether an administration is a favourite. No input type: REST and commands have a verb for each."""

    is_favourite = FlagField()


class IdentityForm(Form[IdentityInput]):
    """A number; or a reason and a sector (its letter, name or an example)."""

    input_type = IdentityInput

    number = TextField(max_length=60)
    reason = ChoiceField(choices=lambda: list(REASONS.items()))
    sector = TextField(max_length=200)
    same_company = FlagField()

    def clean_sector(self) -> str:
        typed: str = self.cleaned_data["sector"]
        return resolve_sector(typed) or typed


class RegisterCheckForm(Form[Input]):
    """Repeat the lookup in the register, or acknowledge its result. No input type: only this page
    offers it.
    """

    action = ChoiceField(choices=[("again", "again"), ("seen", "seen")])


class OffboardingForm(Form[OffboardingInput]):
    """The day on which the client left, and the day on which its books are erased."""

    input_type = OffboardingInput

    client_left_on = DayField(
        required=True, error_messages={"required": _("Enter the date on which the client left.")}
    )
    erase_on = DayField(
        required=True, error_messages={"required": _("Enter the date on which to erase the books.")}
    )


class WithdrawalForm(Form[WithdrawalInput]):
    """The administration's name, so that no other one is erased."""

    input_type = WithdrawalInput

    name = TextField()


class PredecessorForm(Form[Input]):
    """The predecessor by name, number or id; '' removes the link.

    No input type: a person types a name, from which `resolve_reference` finds the id of the input.
    """

    predecessor = TextField()


class ReassignForm(Form[Input]):
    """The member to name on a restricted administration. No input type: only this page offers it."""

    member = IdField(required=True, error_messages={"required": _("Choose at least one user.")})


class SavedViewForm(Form[Input]):
    """A view of the list: to save, to open the list with, or to remove. `query` is what the list shows.

    No input type: views exist on the list's page alone.
    """

    action = ChoiceField(choices=[(key, key) for key in ("save", "default", "no_default", "remove")])
    id = IdField()
    name = TextField(max_length=NAME_LENGTH_MAX)
    query = QueryField()
    is_default = FlagField()


class BulkForm(Form[BulkInput]):
    """The bar below the list: an action with its values, on the ticked rows or on all rows of `query`.

    The fields of an action have its code as their prefix. `start`: a dialog has shown the consequences, so
    there is no preview.
    """

    input_type = BulkInput

    action = ChoiceField(required=True, choices=lambda: [(code, code) for code in bulk_actions])
    all = FlagField()
    id = IdsField()
    query = QueryField()
    display = QueryField()
    start = FlagField()

    def input_values(self) -> Mapping[str, Any]:
        values = self.values
        return {
            "action": values["action"],
            "params": self.params(),
            "ids": [] if values["all"] else values["id"],
            "filter": values["query"] if values["all"] else None,
        }

    def params(self) -> Mapping[str, Any]:
        """Return the parameters of the action. Raises `Invalid`; the errors are at the action's fields."""
        form = self.action_form(get_action(self.values["action"]))
        if not form.is_valid():
            raise Invalid
        return form.parameters

    def action_form(self, action: BulkAction[Any], choices: Choices | None = None) -> ActionForm:
        """Return the fields of an action, with what was sent."""
        return action.form(self.data if self.is_bound else None, prefix=action.code, choices=choices)

    @property
    def error_text(self) -> str:
        """The errors in one line, those at the fields of the action too."""
        action = bulk_actions.get(self.cleaned_data.get("action", ""))
        messages = self.action_form(action).errors.values() if action else ()
        return " ".join(
            filter(None, (super().error_text, *(" ".join(map(str, texts)) for texts in messages)))
        )


class BulkTableForm(BulkForm):
    """Bulk work from a table, pasted or uploaded. Without an action, its columns are the values."""

    action = ChoiceField(choices=lambda: [(code, code) for code in bulk_actions])
    text = forms.CharField(required=False, strip=False)
    file = TextFileField(bytes_max=UPLOAD_BYTES_MAX, too_large=_("This file is too large."))

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("file") and (values.get("text") or "").strip():
            self.add_error("file", _("Upload a file or paste a list, not both."))
        return values

    def clean_action(self) -> str:
        return self.cleaned_data["action"] or self.default_action()

    @staticmethod
    def default_action() -> str:
        """Return the code of the action whose values are the columns of the table."""
        return next(action.code for action in bulk_actions.values() if action.reads_csv_values)


class IssueActionForm(Form[IssueActionInput]):
    """The bar of the list of issues; `assignee` "none" takes the assignment away."""

    input_type = IssueActionInput

    id = IdsField()
    action = ChoiceField(choices=[(action.value, action.value) for action in IssueActionName], required=True)
    assignee = TextField()
    until = DayField()

    def input_values(self) -> Mapping[str, Any]:
        """Return the input; only the action's own fields are read. Raises `Invalid`."""
        values = self.values
        if not values["id"]:
            self.show_error(str(_("Select at least one issue.")))
            raise Invalid
        shaped = {"ids": values["id"], "action": values["action"]}
        if values["action"] == IssueActionName.ASSIGN and values["assignee"] != NONE:
            shaped["assignee"] = id_of(values["assignee"])
            if shaped["assignee"] is None:
                self.show_error(str(_("Choose a user.")))
                raise Invalid
        if values["action"] == IssueActionName.SNOOZE:
            shaped["until"] = values["until"]
        return shaped


class CommentForm(Form[CommentInput]):
    """A comment on an issue."""

    input_type = CommentInput

    text = TextField(max_length=COMMENT_LENGTH_MAX, required=True, widget=forms.Textarea)
