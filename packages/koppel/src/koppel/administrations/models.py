"""Tables of administrations. The books are in `koppel.books`."""

from typing import ClassVar, Self, TypedDict

import msgspec
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.company_registers.numbers import NumberNote
from koppel.connections.models import Connection, RemoteCompany
from koppel.kit.database.json_fields import TypedJSONField
from koppel.kit.database.text_search import Folded
from koppel.kit.tenancy.models import OrganisationQuerySet, TenantModel
from koppel.organisations.models import Division, DivisionMember, Membership, SettingsMap, Template
from koppel.organisations.roles import Actor


class Status(models.TextChoices):
    QUEUED = "queued", _("Queued")
    CONFIGURING = "configuring", _("Configuring")
    ACTIVE = "active", _("Active")
    FAILED = "failed", _("Failed")
    BLOCKED = "blocked", _("Needs attention")
    DEACTIVATED = "deactivated", _("Deactivated")


class ConfirmedIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """The name and number that a person confirmed to be the same company, who (a membership) and when. `at`
    '': not confirmed.
    """

    name: str = ""
    number: str = ""
    by: int | None = None
    at: str = ""

    def __bool__(self) -> bool:
        return bool(self.at)


class ClientAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person's word that a deregistered company is still a client, for one number and day of deregistration
    (ISO, '' if unknown).
    """

    number: str = ""
    closed_on: str = ""
    by: int | None = None
    at: str = ""

    def __bool__(self) -> bool:
        return bool(self.at)


class SharedNumberAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reason why others have this number too: a key of `identity.shared_numbers.SHARED_REASONS`."""

    number: str = ""
    reason: str = ""
    by: int | None = None
    at: str = ""

    def __bool__(self) -> bool:
        return bool(self.at)


class AdministrationQuerySet(OrganisationQuerySet["Administration"]):
    """Administrations, and which of them an actor may see."""

    def visible_to(self, actor: Actor) -> Self:
        """Return all for Administrators and Team leaders, and for others those assigned to them, personally
        or through a division.

        A restricted administration is visible only to the people named on it, whatever their role.
        """
        administrations = self.for_actor(actor).filter(withdrawn_at=None)
        is_assigned = Exists(
            Assignment.objects.for_actor(actor).filter(
                administration=OuterRef("pk"), membership_id=actor.membership_id
            )
        )
        if actor.sees_all_administrations:
            return administrations.filter(Q(restricted=False) | is_assigned)
        divisions = (
            DivisionMember.objects.for_actor(actor)
            .filter(membership_id=actor.membership_id)
            .values("division_id")
        )
        return administrations.filter(is_assigned | Q(restricted=False, division_id__in=divisions))

    def restricted_from(self, actor: Actor) -> Self:
        """Return the restricted administrations on which the actor is not named, including withdrawn ones."""
        visible = Administration.objects.visible_to(actor).filter(restricted=True)
        return self.for_actor(actor).filter(restricted=True).exclude(pk__in=visible.values("pk"))


AdministrationManager = models.Manager.from_queryset(AdministrationQuerySet)


class Administration(TenantModel):
    """A remote company that was imported. Identity is a COC number, or `no_number_reason` and `sector`.

    `number` is normalised; `number_scheme` is its ISO 6523 code. `sector` is a section letter of
    `sector_scheme` (NACE-2.1). `client_number` is the firm's own. `confirmed_identity` records that a
    person confirmed the company although names or numbers differ: {name, number, by, at}, the register's
    name and our number. `client_answer` and `shared_number_answer` record what a person answered about a
    deregistered company and a number that others have. `settings` holds only the values that differ from
    template and organisation. `import_id` is the import's id in `onboarding`. `complete_as_of` is the
    start of the newest run that read every available resource. `sort_name` and `search_key` are made by
    the database: without case and accents.

    `scheduled_deactivation_on`: deactivated on that day. `client_left_on`: the client left; everything is
    erased on `erase_on`. `withdrawn_at`: no longer shown; its data is being erased. `is_forgotten`: the audit
    log has forgotten it; the database refuses a transaction that leaves the row. `predecessor`: the same
    client before it was renamed, merged or moved.
    """

    connection = models.ForeignKey(
        Connection,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="administrations",
    )
    remote_company = models.ForeignKey(
        RemoteCompany,
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="administrations",
    )
    name = models.CharField(max_length=300)
    country = models.CharField(max_length=2, default="")
    base_currency = models.CharField(max_length=3, default="")
    number = models.CharField(max_length=60, default="")
    number_scheme = models.CharField(max_length=10, default="")
    number_note = models.CharField(
        max_length=40, default="", choices=[(note.value, note.value) for note in NumberNote]
    )
    no_number_reason = models.CharField(max_length=40, default="")
    sector = models.CharField(max_length=4, default="")
    sector_scheme = models.CharField(max_length=20, default="")
    confirmed_identity = TypedJSONField(ConfirmedIdentity, default=dict)
    client_answer = TypedJSONField(ClientAnswer, default=dict)
    shared_number_answer = TypedJSONField(SharedNumberAnswer, default=dict)
    client_number = models.CharField(max_length=60, default="")
    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    status_reason = models.TextField(default="")
    status_code = models.CharField(max_length=60, default="")
    division = models.ForeignKey(
        Division,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="administrations",
    )
    template = models.ForeignKey(
        Template,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="administrations",
    )
    restricted = models.BooleanField(default=False)
    settings = TypedJSONField(SettingsMap, default=dict)
    imported_by = models.ForeignKey(
        Membership,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    import_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True)
    complete_as_of = models.DateTimeField(null=True)
    deactivated_on = models.DateField(null=True)
    scheduled_deactivation_on = models.DateField(null=True)
    deactivation_reason = models.CharField(max_length=300, default="")
    client_left_on = models.DateField(null=True)
    erase_on = models.DateField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    is_forgotten = models.BooleanField(default=False)
    predecessor = models.ForeignKey(
        "self",
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="successors",
    )
    sort_name = models.GeneratedField(
        expression=Folded("name"), output_field=models.TextField(), db_persist=True
    )
    search_key = models.GeneratedField(
        expression=Folded("name", "number", "client_number"), output_field=models.TextField(), db_persist=True
    )
    objects: ClassVar[AdministrationManager["Administration"]] = AdministrationManager()

    class Meta:
        db_table = "administrations_administration"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "remote_company"], name="imported_once"),
        ]
        indexes = [
            models.Index(fields=["organisation", "sort_name", "id"], name="administrations_by_name"),
            models.Index(fields=["organisation", "status", "sort_name"], name="administrations_by_status"),
            models.Index(fields=["organisation", "import_id"], name="administrations_by_import"),
            models.Index(fields=["organisation", "number"], name="administrations_by_number"),
            models.Index(fields=["organisation", "client_number"], name="administrations_by_client"),
            models.Index(fields=["organisation", "complete_as_of"], name="administrations_by_age"),
            models.Index(fields=["organisation", "division"], name="administrations_of_division"),
            models.Index(fields=["organisation", "template"], name="administrations_of_template"),
            models.Index(fields=["organisation", "connection"], name="administrations_of_connection"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("administrations:detail", args=[self.pk])


class Assignment(TenantModel):
    """A person who works on an administration. `automatic`: by default at import, not by a colleague's
    choice.
    """

    administration = models.ForeignKey(
        Administration,
        on_delete=models.CASCADE,
        db_constraint=False,
        db_index=False,
        related_name="assignments",
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="assignments"
    )
    automatic = models.BooleanField(default=False)

    class Meta:
        db_table = "administrations_assignment"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "administration", "membership"], name="assigned_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "membership", "administration"], name="assignments_of_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} on {self.administration_id}"


class Favourite(TenantModel):
    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="favourites"
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )

    class Meta:
        db_table = "administrations_favourite"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "membership", "administration"], name="favourite_once"
            )
        ]

    def __str__(self) -> str:
        return f"★ {self.administration_id}"


class SavedView(TenantModel):
    """A person's named view of the list: filters, sorting and columns as the address bar's query string.

    `is_default`: the view of the list when its address has no query string.
    """

    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    name = models.CharField(max_length=120)
    query = models.TextField()
    is_default = models.BooleanField(default=False)

    class Meta:
        db_table = "administrations_saved_view"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "membership", "name"], name="view_name_once"),
            models.UniqueConstraint(
                fields=["organisation", "membership"],
                condition=models.Q(is_default=True),
                name="one_default_view",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class BulkState(models.TextChoices):
    DRAFT = "draft", _("Not started")
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    UNDOING = "undoing", _("Undoing")
    UNDONE = "undone", _("Undone")


ActionParameters = dict[str, str | int | float | bool | list[int | str] | None]
"""Validated parameters of a bulk action, by name; their own type is `BulkAction.parameters`."""


class BulkValues(TypedDict, total=False):
    """The part of an administration's state that an action touches. `people` maps membership ids to whether
    the assignment is automatic, None = not assigned.
    """

    columns: dict[str, str | int | bool | None]
    people: dict[str, bool | None]
    restricted: bool


class BulkOperation(TenantModel):
    """One action on many administrations: previewed as a draft, started once, executed in chunks, perhaps
    undone.

    `action` is a code of `bulk.actions`, `params` the parameters that hold for all items, `query` the list's
    filter that the selection came from. `total` counts its items. `has_item_values`: items have parameters of
    their own, from a CSV or the import wizard. `csv_problems`: the first unusable lines of that CSV (number,
    text, reason), of `csv_problem_count`. `role`: what the person may do at most, however long the job waits.
    """

    membership = models.ForeignKey(
        Membership,
        null=True,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    actor_name = models.CharField(max_length=200)
    ip_address = models.CharField(max_length=100, default="")
    role = models.CharField(max_length=20)
    interface = models.CharField(max_length=20)
    action = models.CharField(max_length=40)
    params = TypedJSONField(ActionParameters, default=dict)
    has_item_values = models.BooleanField(default=False)
    csv_problems = TypedJSONField(list[tuple[int, str, str]], default=list)
    csv_problem_count = models.IntegerField(default=0)
    query = models.TextField(default="")
    state = models.CharField(max_length=20, choices=BulkState, default=BulkState.DRAFT)
    total = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "administrations_bulk_operation"
        indexes = [models.Index(fields=["organisation", "membership", "-created_at"], name="bulk_of_person")]

    def __str__(self) -> str:
        return f"{self.action} on {self.total}"


class ItemState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    CHANGED = "changed", _("Changed")
    SKIPPED = "skipped", _("Unchanged")
    UNDONE = "undone", _("Undone")
    KEPT = "kept", _("Not undone")


class BulkItem(TenantModel):
    """One administration in a bulk operation.

    `reason_code`: why nothing changes. `params`: the values of this administration, where a CSV differs per
    administration. `before` and `after` are the replaced and the new values, for the undo. It stores no name,
    so that erasing an administration need not change it.
    """

    operation = models.ForeignKey(
        BulkOperation, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="items"
    )
    administration_id = models.BigIntegerField()
    state = models.CharField(max_length=20, choices=ItemState, default=ItemState.WAITING)
    reason_code = models.CharField(max_length=60, default="")
    params = TypedJSONField(ActionParameters, default=dict)
    before = TypedJSONField(BulkValues, default=dict)
    after = TypedJSONField(BulkValues, default=dict)

    class Meta:
        db_table = "administrations_bulk_item"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "operation", "administration_id"], name="item_once"
            )
        ]
        indexes = [
            models.Index(fields=["organisation", "operation", "state", "id"], name="bulk_items_by_state")
        ]

    def __str__(self) -> str:
        return f"{self.administration_id} in bulk operation {self.operation_id}"
