"""An issue is raised once, refreshed and resolved; its text survives missing facts."""

from typing import Any

from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.issue_types import IssueCode, IssueType, issue_types
from koppel.issues.queries import count_open, open_issues
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope


class MadeUpIssue(IssueCode):
    DIFFERENCE = "test_issue"
    WITHOUT_TYPE = "unknown_code"


issue_types.register(
    MadeUpIssue.DIFFERENCE,
    IssueType(
        code=MadeUpIssue.DIFFERENCE,
        message="Account %(account)s differs by %(amount)s.",
        advice="Look at %(account)s.",
    ),
)


def test_raising_again_refreshes_the_open_issue(actor: Any) -> None:
    administrator = actor("administrator")
    subject = Subject(SubjectKind.ADMINISTRATION, 5)
    with organisation_scope(administrator.organisation_id):
        assert raise_issue(
            administrator.organisation_id, MadeUpIssue.DIFFERENCE, subject, {"account": "1910", "amount": "1"}
        )
        assert not raise_issue(
            administrator.organisation_id, MadeUpIssue.DIFFERENCE, subject, {"account": "1910"}
        )
        (issue,) = open_issues(administrator, "administration", [5])[5]
        assert (issue.message, issue.advice) == ("Account 1910 differs by –.", "Look at 1910.")


def test_details_are_issues_of_their_own_and_resolve_by_code(actor: Any) -> None:
    administrator = actor("administrator")
    subject = Subject(SubjectKind.ADMINISTRATION, 5)
    with organisation_scope(administrator.organisation_id):
        for key in ("a", "b"):
            raise_issue(administrator.organisation_id, MadeUpIssue.DIFFERENCE, subject, detail_key=key)
        raise_issue(administrator.organisation_id, MadeUpIssue.WITHOUT_TYPE, subject)
        assert count_open(administrator, "administration", [5, 6]) == {5: 3}
        assert (
            resolve_issues(administrator.organisation_id, subject, MadeUpIssue.DIFFERENCE, detail_key="a")
            == 1
        )
        assert resolve_issues(administrator.organisation_id, subject) == 2
        assert raise_issue(administrator.organisation_id, MadeUpIssue.DIFFERENCE, subject, detail_key="a")
