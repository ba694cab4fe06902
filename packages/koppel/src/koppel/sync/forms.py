"""Forms of the Sync tab."""

from collections.abc import Mapping
from typing import Any

from koppel.kit.web.forms import ChoicesField, FlagField, Form
from koppel.organisations.settings_schema import RESOURCES
from koppel.sync.inputs import SyncInput


class SyncForm(Form[SyncInput]):
    """Sync now: everything, or the selected resources."""

    input_type = SyncInput
    full = FlagField()
    resource = ChoicesField(choices=[(key, key) for key in RESOURCES])

    def input_values(self) -> Mapping[str, Any]:
        return {"full": self.values["full"], "resources": self.values["resource"] or None}
