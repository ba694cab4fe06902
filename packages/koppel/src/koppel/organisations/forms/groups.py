"""Forms of divisions and templates."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import FlagField, Form, IdField, IdsField, TextField
from koppel.kit.web.schemas import NAME_LENGTH_MAX
from koppel.organisations.groups.inputs import DivisionInput, MergeInput


class DivisionForm(Form[DivisionInput]):
    """A new division, or all that can be changed about one. Without `has_people` its people stay as they
    are.
    """

    input_type = DivisionInput
    name = TextField(max_length=NAME_LENGTH_MAX)
    archived = FlagField()
    has_people = FlagField()
    people = IdsField()

    def input_values(self) -> Mapping[str, Any]:
        values = self.values
        has_people = values.pop("has_people")
        return {**values, "people": values["people"] if has_people else None}

    def shown_people(self, membership_ids: Iterable[int]) -> set[str]:
        """Return the ids of the people to tick: as was sent, else these."""
        if self.is_bound and self["has_people"].value():
            return set(self["people"].value())
        return {str(membership_id) for membership_id in membership_ids}


class MergeForm(Form[MergeInput]):
    """Into which one a division or a template is merged."""

    input_type = MergeInput
    into = IdField(required=True, error_messages={"required": _("Choose the one to keep.")})
