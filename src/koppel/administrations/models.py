"""A client's books as Koppel knows them; the books themselves are in `koppel.books`."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.connections.models import Connection, RemoteCompany
from koppel.organisations.models import Division, Membership, Template, Tenant


class Status(models.TextChoices):
    QUEUED = "queued", _("Queued")
    CONFIGURING = "configuring", _("Configuring")
    ACTIVE = "active", _("Active")
    FAILED = "failed", _("Failed")
    BLOCKED = "blocked", _("Needs attention")
    DEACTIVATED = "deactivated", _("Deactivated")


class Administration(Tenant):
    """A remote company that was imported. Identity is a COC number, or `no_number_reason` and `sector`.

    `number` is normalised; `number_scheme` is its ISO 6523 code. `sector` is a section letter of `sector_scheme`
    (NACE-2.1). `settings` holds only what differs here from template and organisation. `imported_in` is the import's id in
    `onboarding`. `complete_as_of` is the start of the newest run that read every available resource."""

    connection = models.ForeignKey(
        Connection, on_delete=models.PROTECT, db_constraint=False, related_name="administrations"
    )
    remote_company = models.ForeignKey(
        RemoteCompany, on_delete=models.PROTECT, db_constraint=False, related_name="administrations"
    )
    name = models.CharField(max_length=300)
    country = models.CharField(max_length=2, default="")
    base_currency = models.CharField(max_length=3, default="")
    number = models.CharField(max_length=60, default="")
    number_scheme = models.CharField(max_length=10, default="")
    number_note = models.CharField(max_length=40, default="")
    no_number_reason = models.CharField(max_length=40, default="")
    sector = models.CharField(max_length=4, default="")
    sector_scheme = models.CharField(max_length=20, default="")
    client_number = models.CharField(max_length=60, default="")
    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    status_reason = models.TextField(default="")
    status_code = models.CharField(max_length=60, default="")
    division = models.ForeignKey(
        Division, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="administrations"
    )
    template = models.ForeignKey(
        Template, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="administrations"
    )
    restricted = models.BooleanField(default=False)
    settings = models.JSONField(default=dict)
    imported_by = models.ForeignKey(
        Membership, null=True, on_delete=models.SET_NULL, db_constraint=False, related_name="+"
    )
    imported_in = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True)
    complete_as_of = models.DateTimeField(null=True)

    class Meta:
        db_table = "administrations_administration"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "remote_company"], name="imported_once"),
        ]
        indexes = [
            models.Index(fields=["organisation", "name"], name="administrations_by_name"),
            models.Index(fields=["organisation", "status"], name="administrations_by_status"),
            models.Index(fields=["organisation", "imported_in"], name="administrations_by_import"),
            models.Index(fields=["organisation", "number"], name="administrations_by_number"),
        ]

    def __str__(self) -> str:
        return self.name


class Assignment(Tenant):
    """A person who works on an administration. `automatic`: by default at import, not chosen by somebody."""

    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="assignments"
    )
    membership = models.ForeignKey(
        Membership, on_delete=models.CASCADE, db_constraint=False, related_name="assignments"
    )
    automatic = models.BooleanField(default=False)

    class Meta:
        db_table = "administrations_assignment"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "administration", "membership"], name="assigned_once")
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} on {self.administration_id}"


class Favourite(Tenant):
    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="favourites"
    )
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+")

    class Meta:
        db_table = "administrations_favourite"
        constraints = [
            models.UniqueConstraint(fields=["organisation", "membership", "administration"], name="star_once")
        ]

    def __str__(self) -> str:
        return f"★ {self.administration_id}"


class SavedView(Tenant):
    """A person's named filter of the administrations list. `query` is the address bar's query string."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, db_constraint=False, related_name="+")
    name = models.CharField(max_length=120)
    query = models.TextField()

    class Meta:
        db_table = "administrations_saved_view"
        constraints = [models.UniqueConstraint(fields=["organisation", "membership", "name"], name="view_name_once")]

    def __str__(self) -> str:
        return self.name
