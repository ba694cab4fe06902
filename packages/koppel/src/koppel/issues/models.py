from django.db import models

from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.json_fields import MessageContext, TypedJSONField
from koppel.kit.tenancy.models import TenantModel


class Issue(TenantModel):
    """Something a person must fix. At most one open issue per code and subject; raising it again updates
    `context`.

    `subject_kind` is `administration` or `connection`. `code` has its sentence and button in
    `issues.issue_types`. `notified_at`: when the responsible person was notified, or it was seen that this is
    not needed.
    """

    code = models.CharField(max_length=60)
    subject_kind = models.CharField(max_length=40)
    subject_id = models.BigIntegerField()
    detail_key = models.CharField(max_length=200, default="")
    context = TypedJSONField(MessageContext, default=dict)
    raised_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now=True)
    resolved_at = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "issues_issue"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "subject_kind", "subject_id", "code", "detail_key"],
                condition=models.Q(resolved_at=None),
                name="one_open_issue",
            )
        ]
        indexes = [
            models.Index(
                fields=["organisation", "raised_at"],
                condition=models.Q(resolved_at=None, notified_at=None),
                name="issues_to_notify",
            )
        ]

    @property
    def subject(self) -> Subject:
        return Subject(SubjectKind(self.subject_kind), self.subject_id)

    def __str__(self) -> str:
        return f"{self.code} of {self.subject_kind} {self.subject_id}"
