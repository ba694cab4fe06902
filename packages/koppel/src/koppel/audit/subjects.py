"""The subject of an audit entry, an issue or an event: a code for each kind of object."""

from dataclasses import dataclass
from enum import StrEnum


class SubjectKind(StrEnum):
    """Of what a subject's id is the id. The value is the stored code."""

    ADMINISTRATION = "administration"
    APP = "app"
    BULK_OPERATION = "bulk_operation"
    CONNECTION = "connection"
    DIVISION = "division"
    IDENTITY_PROVIDER = "identity_provider"
    INVITATION = "invitation"
    ORGANISATION = "organisation"
    PERSON = "person"
    SQL_READER = "sql_reader"
    TEMPLATE = "template"
    TOKEN = "token"  # noqa: S105 - the name of a kind
    WEBHOOK = "webhook"


@dataclass(frozen=True)
class Subject:
    """A thing by its id, and its name at the time where that is kept. Of a person the id is the
    membership's.
    """

    kind: SubjectKind
    id: int | None
    name: str = ""
