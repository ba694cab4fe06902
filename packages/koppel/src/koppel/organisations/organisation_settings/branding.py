"""The organisation's logo and colour, which its members see beside its name."""

import hashlib
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.errors import NotFoundError
from koppel.organisations.audit_actions import OrganisationAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import Logo, Organisation
from koppel.organisations.organisation_settings.colours import is_legible, nearest_legible, parse_colour
from koppel.organisations.organisation_settings.images import (
    BYTES_MAX,
    PIXELS_MAX,
    PIXELS_MIN,
    Image,
    NotAnImage,
    read_image,
)
from koppel.organisations.roles import Actor, Permission

DEFAULT_COLOUR = "#0f766e"
"""`--brand` of the stylesheet."""


class NoSuchLogo(NotFoundError):
    """The organisation has no logo, or another one by now."""


@dataclass(frozen=True, kw_only=True)
class Branding:
    """`colour` and `logo_digest` are '' where the organisation has none of its own."""

    name: str
    colour: str
    logo_digest: str


def branding_of(actor: Actor) -> Branding:
    """Return what every page shows of the organisation, with one query."""
    digests = Logo.objects.filter(organisation_id=OuterRef("pk")).values("digest")[:1]
    rows = Organisation.objects.filter(pk=actor.organisation_id)
    name, colour, digest = rows.values_list("name", "brand_colour", Subquery(digests)).get()
    return Branding(name=name, colour=colour, logo_digest=digest or "")


def get_logo(actor: Actor, digest: str) -> Logo:
    """Return the organisation's logo. Raises `NoSuchLogo`."""
    actor.require(Permission.VIEW)
    logo = Logo.objects.for_actor(actor).filter(digest=digest).first()
    if logo is None:
        raise NoSuchLogo(_("This organisation has no such logo."))
    return logo


def change_branding(actor: Actor, *, colour: str, logo: bytes | None) -> None:
    """Store the colour, and a logo when there is one. '' is the colour of Koppel. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    chosen = _legible_colour(colour)
    image = _image(logo) if logo else None
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    if organisation.brand_colour != chosen:
        before, organisation.brand_colour = organisation.brand_colour, chosen
        organisation.save(update_fields=["brand_colour"])
        _add_branding_entry(actor, organisation, before={"colour": before}, after={"colour": chosen})
    if image:
        digest = hashlib.sha256(image.content).hexdigest()[:32]
        values = {"media_type": image.media_type, "content": image.content, "digest": digest}
        Logo.objects.update_or_create(organisation_id=organisation.pk, defaults=values)
        description = f"{image.media_type}, {image.width} × {image.height}"
        _add_branding_entry(actor, organisation, logo=description)


def remove_logo(actor: Actor) -> None:
    """Show the initials again."""
    actor.require(Permission.MANAGE_ORGANISATION)
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    count, _models = Logo.objects.for_actor(actor).delete()
    if count:
        _add_branding_entry(actor, organisation, logo="")


def _legible_colour(text: str) -> str:
    if not text.strip():
        return ""
    colour = parse_colour(text)
    if colour is None:
        raise Refused(_("Enter a colour as #0f766e."), field="colour")
    if not is_legible(colour):
        message = _("Text in %(colour)s cannot be read on white. %(darker)s, a darker shade, can.")
        raise Refused(message % {"colour": colour, "darker": nearest_legible(colour)}, field="colour")
    return "" if colour == DEFAULT_COLOUR else colour


def _image(content: bytes) -> Image:
    if len(content) > BYTES_MAX:
        raise Refused(too_large_text(), field="logo")
    try:
        image = read_image(content)
    except NotAnImage:
        raise Refused(
            _("This file is not a complete picture. Choose a PNG, JPEG or WebP file, not animated."),
            field="logo",
        ) from None
    if not (min(image.width, image.height) >= PIXELS_MIN and max(image.width, image.height) <= PIXELS_MAX):
        message = _(
            "The picture is %(width)s by %(height)s pixels. It must have %(min)s to %(max)s on each side."
        )
        sizes = {"width": image.width, "height": image.height, "min": PIXELS_MIN, "max": PIXELS_MAX}
        raise Refused(message % sizes, field="logo")
    return image


def too_large_text() -> str:
    """Return the sentence about the largest size of a logo."""
    return _("The file is larger than %d kB.") % (BYTES_MAX // 1024)


def _add_branding_entry(actor: Actor, organisation: Organisation, **details: object) -> None:
    subject = Subject(kind=SubjectKind.ORGANISATION, id=organisation.pk, name=organisation.name)
    add_actor_entry(actor, OrganisationAction.BRANDING_CHANGED, subject, **details)
