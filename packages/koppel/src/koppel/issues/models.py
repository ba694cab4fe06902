from django.db import models
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.json_fields import MessageContext, TypedJSONField
from koppel.kit.tenancy.models import TenantModel
from koppel.organisations.models import Membership

IssueValues = dict[str, str | int | None]
"""Columns of an issue that people set, as JSON: dates and times in ISO form."""


def needs_attention() -> models.Q:
    """Return the condition of issues that are open, not snoozed today and not dismissed."""
    is_awake = models.Q(snoozed_until=None) | models.Q(snoozed_until__lte=timezone.localdate())
    return is_awake & models.Q(resolved_at=None, dismissed_at=None)


class Issue(TenantModel):
    """Something a person must fix. At most one open issue per code and subject; raising it again updates
    `context`.

    `subject_kind` is `administration` or `connection`. `code` has its sentence and button in
    `issues.issue_types`. `notified_at`: when the responsible person was notified, or it was seen that this is
    not needed.

    People assign it to a colleague, hide it until the day `snoozed_until`, or dismiss it where its type is
    dismissible; a dismissed issue returns when its facts change.
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
    assignee = models.ForeignKey(
        Membership,
        on_delete=models.SET_NULL,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    snoozed_until = models.DateField(null=True)
    dismissed_at = models.DateTimeField(null=True)

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


class IssueComment(TenantModel):
    """What a member wrote about an issue. `author_name` is the name at the time."""

    issue = models.ForeignKey(
        Issue, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="comments"
    )
    author_name = models.TextField()
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "issues_comment"
        indexes = [models.Index(fields=["organisation", "issue"], name="comments_of_issue")]

    def __str__(self) -> str:
        return f"{self.author_name} on issue {self.issue_id}"


class IssueOperation(TenantModel):
    """An action on some issues, which can be undone for a day. `before` and `after` hold the columns that it
    changed, by issue id.
    """

    action = models.CharField(max_length=20)
    before = TypedJSONField(dict[str, IssueValues], default=dict)
    after = TypedJSONField(dict[str, IssueValues], default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "issues_operation"
        indexes = [models.Index(fields=["organisation", "created_at"], name="issue_operations_by_time")]

    def __str__(self) -> str:
        return f"{self.action} of {len(self.after)} issues"
