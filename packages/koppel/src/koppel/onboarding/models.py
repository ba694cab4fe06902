"""Tables of the wizard: a flow is stored here, not in a browser, so that reload, two tabs and sign-out lose
nothing.
"""

import uuid

import msgspec
from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.connections.models import AppRegistration, Connection
from koppel.kit.database.json_fields import TypedJSONField
from koppel.kit.tenancy.models import TenantModel
from koppel.organisations.models import Membership


class Step(models.TextChoices):
    SYSTEM = "system", _("System")
    SIGN_IN = "sign_in", _("Sign in")
    CHOOSE = "choose", _("Administrations")
    IDENTIFY = "identify", _("Identify")
    ASSIGN = "assign", _("Assign")


class FlowState(models.TextChoices):
    OPEN = "open", _("Open")
    FINISHED = "finished", _("Finished")
    ABANDONED = "abandoned", _("Discarded")


class Import(TenantModel):
    """The administrations of one Finish, which carry its id in `import_id`."""

    connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, db_constraint=False, related_name="imports"
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.PROTECT, db_constraint=False, related_name="+"
    )
    count = models.IntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "onboarding_import"
        indexes = [models.Index(fields=["organisation", "-created_at"], name="imports_by_time")]

    def __str__(self) -> str:
        return f"import {self.pk} of {self.count}"


class DisplayedIdentity(msgspec.Struct, frozen=True, array_like=True):
    """The name and number of a company as the person saw them."""

    name: str = ""
    number: str = ""


class TypedIdentity(msgspec.Struct, frozen=True):
    """The values typed at Identify, valid or not."""

    number: str = ""
    reason: str = ""
    sector: str = ""
    shared_reason: str = ""
    """Why another administration has the same number (`steps.shared_number`)."""


class SameCompanyAnswer(msgspec.Struct, frozen=True):
    """An answer to “is this the same company?”, with the names and numbers that were compared, the membership
    that answered, and the time.
    """

    listed_name: str
    register_name: str
    number: str
    stated_number: str
    is_same: bool | None
    """None: the answer was undone."""
    by: int | None
    at: str


class StillClientAnswer(msgspec.Struct, frozen=True):
    """A person's word that a deregistered company is still a client: the number and the day (ISO) that were
    shown, the membership that answered, and the time.
    """

    number: str
    closed_on: str
    by: int | None
    at: str


class SuccessionAnswer(msgspec.Struct, frozen=True):
    """Whether a company continues the administration with this id, which has the same number."""

    predecessor: int
    continues: bool


class CompanyAssignment(msgspec.Struct, frozen=True):
    """The assignments of a new administration: ids."""

    division: int | None = None
    template: int | None = None
    users: list[int] = []


class Flow(TenantModel):
    """One use of the wizard by one person. The mappings are by id of a remote company."""

    token = models.UUIDField(default=uuid.uuid4)
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="flows"
    )
    connector = models.CharField(max_length=60, default="")
    app = models.ForeignKey(AppRegistration, null=True, on_delete=models.PROTECT, related_name="+")
    connection = models.ForeignKey(
        Connection, null=True, on_delete=models.CASCADE, db_constraint=False, related_name="flows"
    )
    """The connection that was signed in last."""
    step = models.CharField(max_length=20, choices=Step, default=Step.SYSTEM)
    """The furthest step reached; earlier ones may be revisited."""
    state = models.CharField(max_length=20, choices=FlowState, default=FlowState.OPEN)
    origin = models.CharField(max_length=60, default="")
    """`flow.FROM_CONNECTION`, or ''."""
    connection_ids = TypedJSONField(list[int], default=list)
    """All connections of this flow."""
    entered_company_ids = TypedJSONField(list[str], default=list)
    """The vendor's ids that were entered in this flow and were new; removed when it is abandoned."""
    chosen_company_ids = TypedJSONField(list[int], default=list)
    offered_company_ids = TypedJSONField(list[int], default=list)
    """The companies that could be chosen when the choice was stored."""
    displayed_identities = TypedJSONField(dict[int, DisplayedIdentity], default=dict, db_default={})
    """The names and numbers of the chosen companies as the person saw them."""
    typed_identities = TypedJSONField(dict[int, TypedIdentity], default=dict)
    same_company_answers = TypedJSONField(dict[int, SameCompanyAnswer], default=dict)
    still_client_answers = TypedJSONField(dict[int, StillClientAnswer], default=dict)
    succession_answers = TypedJSONField(dict[int, SuccessionAnswer], default=dict)
    assignments = TypedJSONField(dict[int, CompanyAssignment], default=dict)
    previous_assignments = TypedJSONField(dict[int, CompanyAssignment], default=dict)
    """The assignments that the last change replaced, for its undo."""
    import_record = models.ForeignKey(
        Import, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    """Moves with each step that is saved."""

    class Meta:
        db_table = "onboarding_flow"
        constraints = [models.UniqueConstraint(fields=["organisation", "token"], name="flow_token_once")]

    def __str__(self) -> str:
        return f"flow {self.pk} at {self.step}"
