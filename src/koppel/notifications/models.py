from django.db import models

from koppel.organisations.models import Membership, Tenant


class Notice(Tenant):
    """One notice to one person. `event` has its words in `notifications.catalogue`; `link` is a path within Koppel."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, db_constraint=False, related_name="notices")
    event = models.CharField(max_length=60)
    facts = models.JSONField(default=dict)
    link = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notifications_notice"
        indexes = [models.Index(fields=["organisation", "membership", "-created_at"], name="notices_of_person")]

    def __str__(self) -> str:
        return f"{self.event} to {self.membership_id}"
