"""A command is named as those of gh, kubectl and Stripe: `create` and `delete`, never a word of ours."""

from tests.cli.test_permissions import commands

VERBS = {
    "make": "create",
    "new": "create",
    "change": "update",
    "edit": "update",
    "probe": "test",
    "switch": "enable and disable",
}
"""Verbs of commands that mean the same as another one, which is used instead."""
MEMBERSHIPS = {"operators add", "operators remove"}
"""Commands that put a person into a set or take one out."""


def test_one_verb_creates_and_one_deletes() -> None:
    names = [name for name, _command in commands()]
    synonyms = {name: VERBS[verb] for name in names if (verb := name.rpartition(" ")[2]) in VERBS}
    assert synonyms == {}
    assert {name for name in names if name.rpartition(" ")[2] in ("add", "remove")} == MEMBERSHIPS


def test_what_can_be_created_elsewhere_than_on_a_page_can_be_deleted_or_archived() -> None:
    names = {name for name, _command in commands()}
    created = {name.partition(" ")[0] for name in names if name.endswith(" create")}
    ends = {name.partition(" ")[0] for name in names if name.endswith((" delete", " archive"))}
    assert created - ends == {"organisations"}  # an organisation is never deleted
