"""Pages and actions that the palette offers, with the words by which people look for them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.urls import reverse
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.kit.database.text_search import normalize_search
from koppel.organisations.roles import Actor, Permission
from koppel.web.search.search_result import SearchResult

LANGUAGES = ("en", "nl")
"""A label is found in each of them, in every language of the reader."""


@dataclass(frozen=True)
class Command:
    """A page or an action.

    `url_name` takes the open administration's id if `for_administration`. `words` are its other names, in
    either language. `is_offered` is a condition besides the permission.
    """

    key: str
    label: str | Promise
    url_name: str
    permission: Permission = Permission.VIEW
    words: str = ""
    fragment: str = ""
    for_administration: bool = False
    posts: bool = False
    is_offered: Callable[[Actor], bool] = lambda _actor: True

    def url(self, administration: Administration | None = None) -> str:
        arguments = [administration.pk] if administration and self.for_administration else []
        return reverse(self.url_name, args=arguments) + self.fragment

    def score(self, words: list[str]) -> int:
        """Return 0 when one of the folded words begins no word of its names; else more for the label."""
        labels = _labels(self)
        if any(label.startswith(" ".join(words)) for label in labels):
            return 3
        if any(_begin_words(words, label.split()) for label in labels):
            return 2
        return (
            1
            if _begin_words(words, [*" ".join(labels).split(), *normalize_search(self.words).split()])
            else 0
        )


def _labels(command: Command) -> list[str]:
    labels = []
    for language in LANGUAGES:
        with translation.override(language):
            labels.append(normalize_search(str(command.label)).replace("-", " "))
    return labels


def _begin_words(words: list[str], names: list[str]) -> bool:
    return all(any(name.startswith(word) for name in names) for word in words)


def _may_switch(actor: Actor) -> bool:
    return actor.may_switch


def _has_account(actor: Actor) -> bool:
    return not actor.is_operator


PAGES = (
    Command("dashboard", _("Dashboard"), "web:dashboard", words="home start overzicht overview"),
    Command(
        "administrations",
        _("Administrations"),
        "administrations:list",
        words="clients klanten companies bedrijven",
    ),
    Command("changes", _("Recent changes"), "web:changes", words="wijzigingen nieuw changed new"),
    Command("issues", _("Issues"), "issues:list", words="fouten errors problemen problems"),
    Command(
        "notifications", _("Notifications"), "notifications:list", words="notices meldingen berichten inbox"
    ),
    Command(
        "connections",
        _("Connections"),
        "connections:list",
        Permission.IMPORT_ADMINISTRATIONS,
        words="verbinding verbindingen koppelen links consent toestemming inloggen",
    ),
    Command(
        "people",
        _("People"),
        "organisations:people",
        Permission.MANAGE_PEOPLE,
        words="gebruikers users medewerkers colleagues collega members",
    ),
    Command(
        "divisions",
        _("Divisions"),
        "organisations:divisions",
        Permission.MANAGE_PEOPLE,
        words="teams groepen groups departments",
    ),
    Command(
        "templates",
        _("Templates"),
        "organisations:templates",
        Permission.MANAGE_PEOPLE,
        words="sjabloon schema schedule",
    ),
    Command(
        "activity",
        _("Activity"),
        "web:activity",
        Permission.MANAGE_ORGANISATION,
        words="audit log logboek history geschiedenis trail",
    ),
    Command(
        "security",
        _("Security"),
        "organisations:security",
        Permission.MANAGE_ORGANISATION,
        words="sso single sign on mfa require two step verification tweestapsverificatie verplichten",
    ),
    Command(
        "webhooks", _("Webhooks"), "webhooks:list", Permission.MANAGE_ORGANISATION, words="events api hooks"
    ),
    Command(
        "settings",
        _("Settings"),
        "organisations:settings",
        Permission.MANAGE_ORGANISATION,
        words="instellingen configuratie configuration defaults",
    ),
    Command(
        "app_registrations",
        _("App registrations"),
        "connections:apps",
        Permission.MANAGE_ORGANISATION,
        words="client id secret oauth",
    ),
    Command(
        "bulk_work",
        _("Bulk work done lately"),
        "administrations:bulk_list",
        words="undo ongedaan maken bulk mass history",
    ),
    Command(
        "notification_settings",
        _("Notification settings"),
        "notifications:preferences",
        words="mail e-mail preferences voorkeuren meldingen subscribe",
        is_offered=_has_account,
    ),
    Command(
        "password",
        _("Change password"),
        "account_change_password",
        words="wachtwoord",
        is_offered=_has_account,
    ),
    Command(
        "two_step",
        _("Two-step verification"),
        "mfa_index",
        words="mfa 2fa totp authenticator passkey second step tweede stap security key",
        is_offered=_has_account,
    ),
    Command(
        "sessions",
        _("Sessions"),
        "account:sessions",
        words="devices apparaten sessies",
        is_offered=_has_account,
    ),
    Command(
        "tokens",
        _("API tokens"),
        "account:tokens",
        words="api token key sleutel rest",
        is_offered=_has_account,
    ),
    Command(
        "api", _("API reference"), "api_reference", words="rest openapi documentation documentatie developer"
    ),
    Command(
        "organisations",
        _("Switch organisation"),
        "account:organisations",
        words="wisselen firm kantoor",
        is_offered=_may_switch,
    ),
)
ACTIONS = (
    Command(
        "new_connection",
        _("New connection"),
        "onboarding:new",
        Permission.MANAGE_CONNECTIONS,
        words="add connect koppelen verbinden toevoegen nieuwe sign in",
    ),
    Command(
        "import",
        _("Import administrations"),
        "onboarding:import",
        Permission.IMPORT_ADMINISTRATIONS,
        words="add toevoegen new nieuwe clients klanten",
    ),
    Command(
        "invite",
        _("Invite a person"),
        "organisations:invite",
        Permission.MANAGE_PEOPLE,
        words="add user gebruiker uitnodigen toevoegen new nieuwe colleague",
    ),
    Command(
        "invite_several",
        _("Invite several people"),
        "organisations:invite_many",
        Permission.MANAGE_PEOPLE,
        words="add users csv gebruikers uitnodigen toevoegen",
    ),
    Command(
        "create_token",
        _("Create an API token"),
        "account:tokens",
        words="new nieuwe api token aanmaken key",
        fragment="#name",
        is_offered=_has_account,
    ),
    Command(
        "create_webhook",
        _("Create a webhook"),
        "webhooks:list",
        Permission.MANAGE_ORGANISATION,
        words="new nieuwe add toevoegen aanmaken",
        fragment="#url",
    ),
    Command(
        "reconnect",
        _("Reconnect connections"),
        "connections:reconnect_all",
        Permission.IMPORT_ADMINISTRATIONS,
        words="sign in again opnieuw inloggen herstellen",
    ),
    Command(
        "bulk_edit",
        _("Bulk edit with CSV"),
        "administrations:bulk_csv",
        Permission.CHANGE_ADMINISTRATIONS,
        words="assign toewijzen change wijzigen upload many",
    ),
)
ADMINISTRATION_ACTIONS = (
    Command(
        "sync",
        _("Sync now"),
        "sync:now",
        Permission.CHANGE_ADMINISTRATIONS,
        words="synchroniseren refresh vernieuwen",
        for_administration=True,
        posts=True,
    ),
    Command(
        "assign",
        _("Assign people and division"),
        "administrations:edit",
        Permission.CHANGE_ADMINISTRATIONS,
        words="toewijzen team gebruikers users template sjabloon afdeling",
        for_administration=True,
    ),
)
ADMINISTRATION_PAGES = (
    Command(
        "books", _("Books"), "books:overview", words="grootboek ledger accounts", for_administration=True
    ),
    Command(
        "trial_balance",
        _("Trial balance"),
        "books:trial_balance",
        words="saldibalans balans balance",
        for_administration=True,
    ),
    Command("sync_page", _("Sync"), "sync:overview", words="runs", for_administration=True),
    Command(
        "administration_settings",
        _("Settings"),
        "administrations:settings",
        words="instellingen",
        for_administration=True,
    ),
    Command(
        "administration_history",
        _("History"),
        "administrations:history",
        words="geschiedenis audit log",
        for_administration=True,
    ),
)
_PER_ADMINISTRATION = frozenset({command.key for command in (*ADMINISTRATION_ACTIONS, *ADMINISTRATION_PAGES)})
PAGE_KIND, ACTION_KIND = "page", "action"


def available_commands(actor: Actor, commands: tuple[Command, ...]) -> Iterator[Command]:
    """Yield the commands that the actor may use."""
    return (command for command in commands if actor.can(command.permission) and command.is_offered(actor))


def command_result(command: Command, kind: str, administration: Administration | None = None) -> SearchResult:
    """Return the command as a result; one for an administration names it."""
    is_for_administration = administration is not None and command.key in _PER_ADMINISTRATION
    return SearchResult(
        key="" if is_for_administration else f"{kind}:{command.key}",
        label=str(command.label),
        detail=administration.name if administration and is_for_administration else "",
        url=command.url(administration),
        posts=command.posts,
    )
