"""Extension points for apps that depend on connections: administrations, runs, and rules of company
registers.

All are called in the caller's transaction and scope, and an exception of a listener rolls that transaction
back, unless stated otherwise.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from koppel.connections.models import RemoteCompany
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.hooks import Hook, SingleHook
from koppel.organisations.roles import Actor


class RemovalPolicy(StrEnum):
    """The fate of the administrations of a removed connection."""

    MOVE = "move"
    """Administrations that another connection reaches continue through that one, the others wait."""
    WAIT = "wait"
    """They wait until another connection reaches them."""
    DEACTIVATE = "deactivate"
    """They are kept as they are, without syncs."""


class StopReason(StrEnum):
    """The reason why the runs of a connection stop."""

    PAUSE = "pause"
    """They wait."""
    REMOVE = "remove"
    """They are over."""


@dataclass(frozen=True)
class ImportedCompany:
    """The remote company behind an administration, and the connection through which it was imported."""

    connection_id: int
    remote_company_id: int


async def _not_imported(_connection: DatabaseConnection, _administration_id: int) -> None:
    return None


find_imported_company = SingleHook[[DatabaseConnection, int], Awaitable[ImportedCompany | None]](
    _not_imported
)
"""Called with an open database connection and an administration's id before a session may read its books.
None, also without a listener: nothing of that id was imported here, and nothing is read.
"""

restricted_company_ids = SingleHook[[Actor], Any]()
"""Called with an actor: the remote companies, as ids or a query of them, whose administration the actor may
not see.

Only reads. No default: without a listener nothing may be shown.
"""

connection_reconnected = Hook[[Actor, int], object]()
"""Called with the connection's id after a person signed in again and its companies were listed: waiting syncs
continue.

If a listener fails, all listeners are undone and the new consent stays.
"""

connection_recovered = Hook[[int, int], object]()
"""Called with organisation and connection when the vendor responds again: runs that waited for this continue
at once.
"""

stop_runs = Hook[[int, int, StopReason], object]()
"""Called with organisation and connection when the connection is paused or removed: its runs stop, and keep
what they have read.
"""

detach_administrations = SingleHook[[Actor, int, RemovalPolicy], int](lambda *_: 0)
"""Called with the connection's id before it is removed. Returns how many administrations did not move."""

attach_waiting = SingleHook[[Actor, int], int](lambda *_: 0)
"""Called with the connection's id after its companies were listed: administrations that wait for a connection
continue with this one. Returns how many.
"""

block_administrations = Hook[[int, Sequence[int], str], object]()
"""Called with organisation, administrations and a message: the vendor describes another company under their
id, so nothing is read.
"""

unblock_administrations = Hook[[int, Sequence[int], str], object]()
"""Called with organisation, administrations and the name of the person who decided, or '': they are the
confirmed companies, and their syncs continue.
"""

restart_runs = Hook[[int, Sequence[int]], object]()
"""Called with organisation and administrations: their open runs restart and check the company first.

Call before taking other locks: whoever ends a run locks the run before its administration.
"""

accept_company_change = SingleHook[[Actor, int, str, str], str](lambda *_: "")
"""Called with an administration, a field (name, legal_name, number) and the vendor's new value, which a
person accepted. Returns '' if the administration has the value now, otherwise the reason why not.
"""

other_register_name = SingleHook[[Actor, int, str], str](lambda *_: "")
"""Called with an administration and a number. Returns the register's name of this number where it is another
one than the administration's, and no person confirmed it; '' otherwise.
"""

confirm_register_name = SingleHook[[Actor, int, str, str], object](lambda *_: None)
"""Called with an administration, a number and the register's name of it, which a person confirmed to be the
same company.
"""

comparable_number = SingleHook[[str, str], str](lambda text, _country: text)
"""A registration number of a country in the form in which two can be compared. Touches no database."""

masked_number = SingleHook[[str, str], str]()
"""A registration number of a country as the audit log may show it. Touches no database. No default: without a
listener no number may be shown.
"""

name_without_legal_form = SingleHook[[str], str](lambda name: name)
"""A company's name without its legal form, for comparison. Touches no database."""

new_connection_url = SingleHook[[], str](lambda: "")
"""Called without arguments: the page on which a person adds a connection."""

import_url = SingleHook[[int | None], str](lambda _connection_id: "")
"""Called with a connection's id, or None for one that is chosen on the page: the page on which its companies
are imported.
"""

administration_url = SingleHook[[int], str](lambda _administration_id: "")
"""Called with an administration's id: its page."""


def exclude_restricted(actor: Actor, companies: "QuerySet[RemoteCompany]") -> "QuerySet[RemoteCompany]":
    """Return the companies whose name the actor may read: those whose administration is not restricted to
    others, through whatever connection it was imported. A second connection that lists the company shows no
    row of it: even a row without a name would reveal that the client exists.
    """
    restricted = RemoteCompany.objects.for_actor(actor).filter(
        pk__in=restricted_company_ids(actor),
        external_id=OuterRef("external_id"),
        connection__connector=OuterRef("connection__connector"),
    )
    return companies.exclude(Exists(restricted))
