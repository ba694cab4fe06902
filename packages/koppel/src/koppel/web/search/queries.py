"""The palette's results: matches of a text, or recent choices before one is typed."""

from collections.abc import Iterable, Sequence

from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.administrations.queries import get_visible
from koppel.kit.database.text import clean_text
from koppel.kit.database.text_search import normalize_search
from koppel.kit.web.parameters import id_of
from koppel.organisations.roles import Actor
from koppel.web.help.documents import search_titles
from koppel.web.search import commands, records
from koppel.web.search.commands import ACTION_KIND, PAGE_KIND, Command
from koppel.web.search.search_result import ResultGroup, SearchResult

LETTERS_MIN = 2
RECENT_MAX = 6
VERB_RESULTS = 4
HELP_RESULTS = 5
_STATIC = {
    **{f"{PAGE_KIND}:{command.key}": command for command in commands.PAGES},
    **{f"{ACTION_KIND}:{command.key}": command for command in commands.ACTIONS},
}


def search(actor: Actor, text: str, administration_id: int | None = None) -> list[ResultGroup]:
    """Return the matches of a text, by kind; none for less than two letters.

    `administration_id`: the open administration, whose actions, pages and accounts are searched too.
    """
    query = clean_text(text)
    words = normalize_search(query).replace("-", " ").split()
    if len(query) < LETTERS_MIN or not words:
        return []
    administration = get_visible(actor, administration_id)
    groups = [
        ResultGroup(_("Actions"), (*_actions(actor, words, administration), *_actions_by_name(actor, words))),
        ResultGroup(_("Pages"), tuple(_pages(actor, words, administration))),
    ]
    plain_words = normalize_search(query).split()
    groups_found = [ResultGroup(kind.label, tuple(kind.find(actor, plain_words))) for kind in records.KINDS]
    accounts = records.find_accounts(actor, administration, query) if administration else []
    groups += [
        ResultGroup(_("Accounts"), tuple(accounts)),
        *groups_found,
        ResultGroup(_("Help"), _help(query)),
    ]
    return _rank_groups([group for group in groups if group.results], normalize_search(query))


def suggestions(
    actor: Actor, recent_keys: Sequence[str], administration_id: int | None = None
) -> list[ResultGroup]:
    """Return the results to offer before anything is typed: recent choices, actions, pages."""
    administration = get_visible(actor, administration_id)
    page_results = (
        [
            commands.command_result(command, ACTION_KIND, administration)
            for command in commands.available_commands(actor, commands.ADMINISTRATION_ACTIONS)
        ]
        if administration
        else []
    )
    actions = [
        commands.command_result(command, ACTION_KIND)
        for command in commands.available_commands(actor, commands.ACTIONS)
    ]
    pages = [
        commands.command_result(command, PAGE_KIND)
        for command in commands.available_commands(actor, commands.PAGES)
    ]
    groups = [
        ResultGroup(_("Recent"), tuple(_recent(actor, recent_keys[:RECENT_MAX]))),
        ResultGroup(_("Actions"), (*page_results, *actions)),
        ResultGroup(_("Pages"), tuple(pages)),
    ]
    return [group for group in groups if group.results]


def _scored(
    offered: Iterable[Command], words: list[str], kind: str, administration: Administration | None
) -> list[SearchResult]:
    scored = [(command.score(words), command) for command in offered]
    best_first = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
    return [commands.command_result(command, kind, administration) for _score, command in best_first]


def _actions(actor: Actor, words: list[str], administration: Administration | None) -> list[SearchResult]:
    administration_actions = commands.ADMINISTRATION_ACTIONS if administration else ()
    return _scored(
        commands.available_commands(actor, (*administration_actions, *commands.ACTIONS)),
        words,
        ACTION_KIND,
        administration,
    )


def _pages(actor: Actor, words: list[str], administration: Administration | None) -> list[SearchResult]:
    administration_pages = commands.ADMINISTRATION_PAGES if administration else ()
    return _scored(
        commands.available_commands(actor, (*administration_pages, *commands.PAGES)),
        words,
        PAGE_KIND,
        administration,
    )


def _actions_by_name(actor: Actor, words: list[str]) -> list[SearchResult]:
    """Return actions on administrations: "sync bakkerij" syncs those that are called so."""
    results: list[SearchResult] = []
    for command in commands.available_commands(actor, commands.ADMINISTRATION_ACTIONS):
        if command.score(words[:1]):
            rows = records.find_administrations(actor, words[1:], VERB_RESULTS)
            results += [commands.command_result(command, ACTION_KIND, row) for row in rows]
    return results


def _help(text: str) -> tuple[SearchResult, ...]:
    """Return the pages of the help, and their sections, whose title has every word."""
    return tuple(
        SearchResult(
            key="",
            label=result.title,
            detail="" if result.title == result.page_title else result.page_title,
            url=result.url,
        )
        for result in search_titles(text)[:HELP_RESULTS]
    )


def _rank_groups(groups: list[ResultGroup], text: str) -> list[ResultGroup]:
    """Order kinds: first those whose best result equals the text or begins with it, then the others."""
    return sorted(groups, key=lambda group: _match_rank(group.results[0], text))


def _match_rank(result: SearchResult, text: str) -> int:
    label = normalize_search(result.label)
    return 0 if label == text else 1 if label.startswith(text) else 2


def _recent(actor: Actor, keys: Sequence[str]) -> list[SearchResult]:
    """Return the results of the keys that the actor may still open, in their order."""
    results: dict[str, SearchResult] = {}
    for kind in records.KINDS:
        ids = [id_of(key.removeprefix(f"{kind.key}:")) for key in keys if key.startswith(f"{kind.key}:")]
        rows = kind.find_by_ids(actor, [number for number in ids if number])
        results |= {f"{kind.key}:{number}": result for number, result in rows.items()}
    for key in keys:
        command = _STATIC.get(key)
        if command and list(commands.available_commands(actor, (command,))):
            results[key] = commands.command_result(command, key.partition(":")[0])
    return [results[key] for key in dict.fromkeys(keys) if key in results]
