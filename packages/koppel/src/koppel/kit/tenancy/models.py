"""The base of all tables that belong to an organisation, and their query sets."""

from typing import Protocol, Self, TypeVar

from django.db import models

ModelT = TypeVar("ModelT", bound=models.Model)


class HasOrganisation(Protocol):
    """An actor within one organisation, such as `koppel.organisations.roles.Actor`."""

    @property
    def organisation_id(self) -> int: ...


class OrganisationQuerySet(models.QuerySet[ModelT]):
    """Rows of one organisation.

    Row level security enforces the same; naming the organisation lets PostgreSQL use the keys, which start
    with it.
    """

    def for_actor(self, actor: HasOrganisation) -> Self:
        """Return rows of the actor's organisation.

        Each app decides which of them the actor may see.
        """
        return self.filter(organisation_id=actor.organisation_id)

    def in_organisation(self, organisation_id: int) -> Self:
        return self.filter(organisation_id=organisation_id)


OrganisationManager = models.Manager.from_queryset(OrganisationQuerySet)


class TenantModel(models.Model):
    """A table under row level security. Every index and composite foreign key includes the organisation."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        "organisations.Organisation", on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    objects = OrganisationManager()

    class Meta:
        abstract = True
