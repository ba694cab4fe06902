"""Forms of the wizard's steps."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from koppel.connector.registry import connectors
from koppel.kit.web.forms import ChoiceField, FlagField, Form, IdField, IdsField, TextField, TextFileField
from koppel.kit.web.parameters import id_of
from koppel.onboarding.inputs import (
    IDENTITY_LENGTH_MAX,
    AssignInput,
    ChooseInput,
    FlowInput,
    IdentifyInput,
    SignInInput,
)
from koppel.onboarding.steps.identify import FIELDS, SHARED_REASON

UPLOAD_BYTES_MAX = 2 * 1024 * 1024
ACTION_SEPARATOR = "-"
ROW_ACTIONS = ("same", "other", "undo", "continues", "separate")


def list_file_field() -> TextFileField:
    """Return the field of an uploaded list of ids or numbers."""
    too_large = _("This file is larger than 2 MB. A list of numbers is much smaller.")
    return TextFileField(bytes_max=UPLOAD_BYTES_MAX, too_large=too_large)


class SystemForm(Form[FlowInput]):
    """Step ①: the key of an installed connector."""

    input_type = FlowInput
    connector = ChoiceField(required=True, choices=lambda: [(key, key) for key in connectors()])

    def input_values(self) -> Mapping[str, Any]:
        return {"system": self.values["connector"]}


class SignInForm(Form[SignInInput]):
    """Step ②: a way to sign in, or company ids in any text and in a file."""

    input_type = SignInInput
    app = IdField(required=True)
    another = FlagField()
    company_ids = forms.CharField(required=False, strip=False)
    file = list_file_field()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        values["text"] = "\n".join(filter(None, [values.get("company_ids"), values.get("file")]))
        return values

    def input_values(self) -> Mapping[str, Any]:
        return {"app": self.values["app"], "company_ids": self.values["text"]}


class ChooseForm(Form[ChooseInput]):
    """Step ③: the ticked companies, the button that was pressed, and the choice that the page knew."""

    input_type = ChooseInput
    action = ChoiceField(
        choices=[(key, key) for key in ("next", "share", "hide", "retry", "remove_unreachable")]
    )
    company = IdsField()
    base = TextField(max_length=100_000)

    def input_values(self) -> Mapping[str, Any]:
        return {"companies": self.values["company"]}

    @property
    def base_ids(self) -> set[int] | None:
        """The stored choice that the page knew, as ids; None from a page that does not say."""
        if "base" not in self.data:
            return None
        return {company_id for text in self.values["base"].split(",") if (company_id := id_of(text))}


class TicksForm(Form[ChooseInput]):
    """Step ③: the companies that were ticked and cleared since the last time."""

    input_type = ChooseInput
    ticked = IdsField()
    cleared = IdsField()


class AssignForm(Form[AssignInput]):
    """Step ⑤: the assignments of the ticked companies, and the button that was pressed."""

    input_type = AssignInput
    action = ChoiceField(required=True, choices=[(key, key) for key in ("apply", "clear", "skip", "finish")])
    division = IdField()
    template = IdField()
    users = IdsField()
    company = IdsField()
    q = TextField()

    def input_values(self) -> Mapping[str, Any]:
        values = self.values
        names = ("division", "template", "users")
        return {"companies": values["company"]} | {name: values[name] for name in names}


class IdentifyForm(Form[IdentifyInput]):
    """Step ④: a number, or a reason and a sector, for each row that the page showed (`number-7`, `reason-7`,
    `sector-7`), and why another administration has the number (`shared_reason`).

    `action` is `next`, `fill`, `accept` for all suggestions of the same name, `same` for the ticked rows,
    or for one row `same-7`, `other-7` and `undo-7`, and `continues-7` and `separate-7` about the
    administration that has its number. `answers` holds the typed values by company id; rows that the page
    did not show are not in it.
    """

    input_type = IdentifyInput
    action = TextField()
    q = TextField()
    show = ChoiceField(choices=[("incomplete", "incomplete")])
    discrepancy = IdsField()
    discrepancies = TextField(max_length=100_000)
    client = IdsField()
    pasted = forms.CharField(required=False, strip=False)
    file = list_file_field()

    def __init__(self, data: QueryDict, company_ids: Iterable[int], **options: Any) -> None:
        super().__init__(data, **options)
        self._chosen_ids = list(company_ids)
        self._company_ids = [company_id for company_id in self._chosen_ids if f"number-{company_id}" in data]
        for company_id in self._company_ids:
            self.fields |= {
                f"{name}-{company_id}": TextField(max_length=IDENTITY_LENGTH_MAX)
                for name in (*FIELDS, SHARED_REASON)
            }

    @property
    def answers(self) -> dict[int, dict[str, str]]:
        """The typed values. A text that cannot be stored is left out, so that the others are kept."""
        self.is_valid()
        return {
            company_id: {
                name: self.cleaned_data.get(f"{name}-{company_id}", "")
                for name in (*FIELDS, SHARED_REASON)
                if name in FIELDS or f"{name}-{company_id}" in self.data
            }
            for company_id in self._company_ids
        }

    def input_values(self) -> Mapping[str, Any]:
        return {
            "identities": [{"company": company_id, **typed} for company_id, typed in self.answers.items()]
        }

    @property
    def ticked_ids(self) -> list[int] | None:
        """The companies of the ticked rows; None for the rows of all pages."""
        if self.values["discrepancies"] == "all":
            return None
        return self.page_ids or self.values["discrepancy"]

    @property
    def page_ids(self) -> list[int]:
        """The companies about which the page of questions asked."""
        texts = self.values["discrepancies"].split(",")
        return [company_id for text in texts if (company_id := id_of(text))]

    @property
    def row_errors(self) -> list[str]:
        """The errors of typed values."""
        return [
            str(error)
            for company_id in self._company_ids
            for name in FIELDS
            for error in self.errors.get(f"{name}-{company_id}", ())
        ]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("file") and (values.get("pasted") or "").strip():
            self.add_error("file", _("Upload a file or paste a list, not both."))
        return values

    def clean_action(self) -> tuple[str, int | None]:
        """Read the button: its word, and the company id when it is one row's."""
        action, separator, text = (self.cleaned_data["action"] or "next").partition(ACTION_SEPARATOR)
        if not separator and action in ("accept", "fill", "next", "same"):
            return action, None
        if action in ROW_ACTIONS and text in map(str, self._chosen_ids):
            return action, int(text)
        raise ValidationError(
            _("“%(value)s” is not one of the options."), params={"value": self.data["action"][:80]}
        )
