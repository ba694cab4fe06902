"""The state of a transfer: the grants of the new owner's accounts and of previous ones, and their companies.

All in the caller's transaction and scope, with the connection locked where something changes.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import QuerySet

from koppel.connections.health import grants_of
from koppel.connections.lifecycle.revocation import revoke_later
from koppel.connections.models import Connection, Grant, RemoteCompany


@dataclass(frozen=True)
class TransferState:
    """The transfer of a connection to one member, who may sign in with several accounts: where an account
    reaches one company, each company may need its own.

    The steps of each sign-in: `unreached_companies` finds why it is refused, `move_companies` lets it serve,
    and `revoke_previous_grants` says whether it was the last.
    """

    connection: Connection
    new_owner_id: int

    @property
    def has_begun(self) -> bool:
        """Return whether the new owner signed in with an account that serves the connection."""
        return self._new_grants().exists()

    def awaiting_companies(self) -> "QuerySet[RemoteCompany]":
        """Return the imported companies that the new owner has yet to sign in for."""
        return (
            self._companies()
            .filter(grant__in=self._previous_grants(), administrations__isnull=False)
            .distinct()
        )

    def unreached_companies(self, grant: Grant, reached: Collection[str]) -> "QuerySet[RemoteCompany] | None":
        """Return the companies that a new grant should reach and does not; None when it reaches all.

        Only imported companies count. A grant for one company that the connection does not have reaches none
        of its companies.
        """
        concerned = self._concerned_companies(grant)
        if grant.company_id and not concerned.exists():
            return self._companies()
        lacking = concerned.filter(administrations__isnull=False).exclude(external_id__in=reached).distinct()
        return lacking if lacking.exists() else None

    def move_companies(self, grant: Grant, reached: Collection[str]) -> None:
        """Assign the companies that a new grant reaches to it."""
        self._concerned_companies(grant).filter(external_id__in=reached).update(grant=grant)
        Grant.objects.filter(pk=grant.pk).update(is_pending_transfer=False)

    def revoke_previous_grants(self) -> bool:
        """Revoke the previous grants that no imported company uses. Returns whether all are revoked."""
        previous = self._previous_grants()
        serving = set(previous.filter(companies__administrations__isnull=False).values_list("pk", flat=True))
        idle = [grant_id for grant_id in previous.values_list("pk", flat=True) if grant_id not in serving]
        revoke_later(self.connection.organisation_id, idle)
        if serving:
            return False
        self._companies().filter(grant_id__in=idle).update(is_listed=False)
        return True

    def _companies(self) -> "QuerySet[RemoteCompany]":
        connection = self.connection
        return RemoteCompany.objects.in_organisation(connection.organisation_id).filter(connection=connection)

    def _concerned_companies(self, grant: Grant) -> "QuerySet[RemoteCompany]":
        companies = self._companies()
        return companies.filter(external_id=grant.company_id) if grant.company_id else companies

    def _new_grants(self) -> "QuerySet[Grant]":
        return grants_of(self.connection).filter(transferred_by=self.new_owner_id)

    def _previous_grants(self) -> "QuerySet[Grant]":
        """Return the grants of other accounts than those of the new owner."""
        accounts = list(self._new_grants().values_list("subject", flat=True))
        return grants_of(self.connection).exclude(subject__in=accounts)
