"""Hooks for the audience of an event: higher apps know which administrations a person sees, follows or is
responsible for.

All are called in the caller's transaction and scope and only read; an exception leaves the event
undispatched.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from koppel.audit.subjects import Subject
from koppel.kit.hooks import Registry, SingleHook
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class VisibleAdministrations:
    """The visible administrations among those that an event is about, and of these the ones of the member's
    divisions and favourites.
    """

    visible: frozenset[int] = frozenset()
    divisions: frozenset[int] = frozenset()
    favourites: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Audience:
    """The people whom an administration's settings notify of an event besides the responsible member;
    `is_silent`: not even that member is notified.
    """

    is_silent: bool = False
    members: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class SubjectDescription:
    """The subject of an event, with its name and its responsible member, if it has one.

    `administrations` are those affected, by id, with their names.
    """

    name: str = ""
    responsible: int | None = None
    administrations: Mapping[int, str] = field(default_factory=dict)


def _no_administrations(*_: object) -> Mapping[int, Any]:
    return {}


visible_administrations_of = SingleHook[
    [int, Subject | None, Collection[int], Collection[int]], Mapping[int, VisibleAdministrations]
](_no_administrations)
"""Called with organisation, subject, administrations and memberships: what each membership may see.
Memberships that see nothing are absent.
"""

readable_administrations = SingleHook[[Actor, Collection[int]], Any]()
"""Called with a reader and the memberships that they act for: a query of the administrations of which their
notifications may tell. Only reads. No default: without a listener nothing may be shown.
"""

unrestricted = SingleHook[[int, Collection[int], Collection[int]], Collection[int]](lambda *_: ())
"""Called with organisation, administrations and divisions: the unrestricted ones of these administrations;
with divisions, only those within them.

Webhooks receive no others.
"""

fallback_recipients = SingleHook[[int, int, Collection[int]], Mapping[int, int | None]](_no_administrations)
"""Called with organisation, membership and administrations: the administrations that this member may not see,
each with a membership that may (None: there is none).
"""

audience_of = SingleHook[[int, str, Collection[int]], Mapping[int, Audience]](_no_administrations)
"""Called with organisation, event and administrations. Returns the members named in the settings of each
administration, as far as they may see it.
"""

subjects = Registry[Callable[[int, int], SubjectDescription]]()
"""By subject kind: the function that describes a subject by organisation and id."""


def subject_of(organisation_id: int, subject: Subject | None) -> SubjectDescription:
    """Return the description of the event's subject. An unregistered kind has no responsible member; an
    Administrator is notified instead.
    """
    describe = subjects.get(subject.kind) if subject else None
    if subject is None or subject.id is None or describe is None:
        return SubjectDescription()
    return describe(organisation_id, subject.id)
