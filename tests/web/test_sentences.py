"""Sentences whose values were stored without a language are read in the reader's language."""

from decimal import Decimal

import pytest
from django.utils.translation import override

from koppel.connector.errors import RateLimited, UnexpectedResponse
from koppel.issues.queries import render_issue_message
from koppel.kit.web.money import format_money
from koppel.kit.web.sentences import in_english, render_sentence, stored_sentence, with_single_stops
from koppel.notifications.event_types import render_message

LOST = {"account": "demo@kantoor.example", "reason": "The consent at Visma has expired or was withdrawn."}


@pytest.mark.parametrize(
    ("language", "currency", "text"),
    [
        ("en", "EUR", "−€21,410.83"),
        ("nl", "EUR", "−€\u00a021.410,83"),
        ("nl", "NOK", "−NOK\u00a021.410,83"),
        ("en", "", "−21,410.83"),
    ],
)
def test_an_amount_follows_the_locale(language: str, currency: str, text: str) -> None:
    with override(language):
        assert format_money(Decimal("-21410.8300"), currency) == text


def test_an_issue_names_its_entry_and_amount_in_dutch() -> None:
    context = {"journal": "AR", "number": "000738", "difference": "-21410.83", "currency": "EUR"}
    with override("nl"):
        sentence = render_issue_message("entry_unbalanced", context)
    assert sentence == "Boeking AR 000738 sluit niet: verschil €\u00a021.410,83."


@pytest.mark.parametrize(("count", "verb"), [(1, "entry or line"), (3, "entries or lines")])
def test_counts_choose_singular_or_plural(count: int, verb: str) -> None:
    context = {"count": count, "period": "202611", "system": "Visma.net"}
    with override("en"):
        sentence = render_issue_message("closed_period_changed", context)
    assert sentence.startswith(f"{count} {verb} of the closed period 2026-11")
    assert sentence.endswith("changed in Visma.net.")


def test_a_notice_holds_no_english_in_dutch() -> None:
    with override("nl"):
        sentence = render_message("connection_lost", LOST)
    assert sentence.endswith("opnieuw inloggen: De toestemming bij Visma is verlopen of ingetrokken.")


def test_a_notice_of_an_import_and_of_a_day() -> None:
    with override("en"):
        done = render_message("import_finished", {"total": 1, "active": 1, "others": 0})
    with override("nl"):
        ends = render_message("consent_expiring", {"account": "a", "day": "2027-03-12"})
    assert done == "The import of 1 administration is complete. Active: 1. Needing attention: 0."
    assert "2027-03-12" not in ends
    assert "2027" in ends


def test_a_name_with_a_full_stop_ends_the_sentence_once() -> None:
    with override("en"):
        sentence = render_issue_message("sync_failed", {"reason": "Visma.net shows no data of Bakker B.V.."})
    assert sentence.endswith("Bakker B.V.")


def test_a_name_that_ends_in_a_full_stop_brings_no_second_one() -> None:
    assert with_single_stops("Sync of Bakker B.V.. Wait … 1..2 ...") == "Sync of Bakker B.V. Wait … 1..2 ..."


REFUSED = "Visma.net refused a call (%(status)s): %(answer)s"


def test_a_stored_sentence_with_values_is_read_in_the_readers_language() -> None:
    error = UnexpectedResponse("http_400", REFUSED, status=400, answer="100 % of “x” {y}.")
    assert str(error) == "Visma.net refused a call (400): 100 % of “x” {y}."
    with override("nl"):
        assert render_sentence(error.sentence) == "Visma.net weigerde een aanroep (400): 100 % of “x” {y}."
        assert in_english(error.sentence) == str(error)
        stored_again = RateLimited("http_400", error.sentence, retry_after_seconds=1)
        assert render_sentence(stored_again.sentence) == render_sentence(error.sentence)


def test_a_stored_sentence_can_hold_another() -> None:
    reason = stored_sentence(REFUSED, status=400, answer="No.")
    with override("nl"):
        assert render_sentence(
            stored_sentence("%(resource)s: %(reason)s", resource="Entries", reason=reason)
        ) == ("Boekingen: Visma.net weigerde een aanroep (400): No.")
        assert "weigerde een aanroep (400)" in render_message(
            "sync_failing", {"name": "Nordlys", "reason": reason}
        )


@pytest.mark.parametrize("text", ["", "No licence.", '{"sentence":1}', '{"sentence":"x"', "100 % %(name)s"])
def test_any_other_text_is_shown_as_it_is(text: str) -> None:
    assert render_sentence(text) == text
