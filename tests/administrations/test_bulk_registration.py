"""A bulk action is declared once: registered, it is on the page, in CSV, REST and the command line."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

import pytest
from typer.testing import CliRunner

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk import ActionForm, BulkAction, PlannedChange, bulk_actions, stored_values
from koppel.administrations.commands.bulk import bulk_commands
from koppel.administrations.models import Administration, BulkValues
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.forms import TextField
from koppel.organisations.errors import Refused
from koppel.organisations.models import User
from koppel.organisations.roles import Actor, Permission
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_api_and_commands import send
from tests.administrations.test_list import browser_of


class LabelParameters(TypedDict, total=False):
    text: str


class LabelForm(ActionForm):
    text = TextField(label="Text of the label", max_length=60)
    option_help = {"text": "Text of the label."}


def validate_label(actor: Actor, params: LabelParameters) -> LabelParameters:
    if not params.get("text"):
        raise Refused("A label needs a text.")
    return params


def plan_labels(
    actor: Actor, administrations: Sequence[Administration], params_by_id: Mapping[int, LabelParameters]
) -> dict[int, PlannedChange]:
    return {
        administration.pk: PlannedChange(
            before={"columns": {"client_number": administration.client_number}},
            after={"columns": {"client_number": params_by_id[administration.pk]["text"]}},
        )
        for administration in administrations
    }


def write_labels(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    stored_values.write(actor.organisation_id, changes)


LABEL = BulkAction(
    code="label",
    label="Label them",
    icon="star",
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_action=BulkAuditAction.CHANGED,
    command="label",
    command_help="Label administrations.",
    parameters=LabelParameters,
    plan=plan_labels,
    execute=write_labels,
    validate=validate_label,
    describe=lambda actor, params: [f"Label: {params['text']}"],
    form=LabelForm,
    is_undoable=True,
)


@pytest.fixture
def firm(actor: Any) -> Iterator[Firm]:
    with bulk_actions.only({**bulk_actions, LABEL.code: LABEL}):
        yield create_firm(actor("administrator"), 6)


def client_numbers(firm: Firm) -> set[str]:
    with organisation_scope(firm.admin.organisation_id):
        return set(Administration.objects.values_list("client_number", flat=True))


def test_the_bar_and_the_csv_page_have_its_fields(firm: Firm) -> None:
    browser = browser_of(firm.admin)
    for path in ("/administrations/", "/administrations/bulk/csv/"):
        page = browser.get(path).content.decode()
        assert 'name="label-text"' in page
        assert "Text of the label" in page
        assert "Label them" in page
    form = {"action": "label", "label-text": "L1", "all": "1", "query": ""}
    draft = browser.post("/administrations/bulk/preview", form).headers["Location"]
    assert "Label: L1" in browser.get(draft).content.decode()
    browser.post(f"{draft}start")
    assert client_numbers(firm) == {"L1"}
    browser.post(f"{draft}undo")
    assert "L1" not in client_numbers(firm)
    answer = browser.post("/administrations/bulk/preview", {**form, "label-text": ""}, follow=True)
    assert "A label needs a text." in answer.content.decode()
    table = {"action": "label", "text": "code\nV00001\n", "label-text": "x" * 61}
    assert "at most 60 characters" in browser.post("/administrations/bulk/csv/", table).content.decode()


def test_rest_lists_and_starts_it(firm: Firm) -> None:
    browser = browser_of(firm.admin)
    listed = send(browser, "GET", "/api/v1/administrations/bulk/actions")
    assert {"action": "label", "label": "Label them", "params": ["text"], "is_undoable": True} in listed
    body = {"action": "label", "params": {"text": "L2"}, "filter": "", "start": True}
    done = send(browser, "POST", "/api/v1/administrations/bulk", body, status=201)
    assert (done["state"], done["params"], done["counts"]["changed"]) == ("done", {"text": "L2"}, 6)
    for params in ({"text": 5}, {"colour": "red"}):
        send(
            browser,
            "POST",
            "/api/v1/administrations/bulk",
            {**body, "params": params},
            status=409 if "text" in params else 422,
        )
    assert client_numbers(firm) == {"L2"}


def test_the_command_line_has_a_command_with_its_options(firm: Firm) -> None:
    email = User.objects.get(pk=firm.admin.user_id).email
    words = ["label", "--all", "--text", "L3", "--as", email, "--json"]
    outcome = CliRunner().invoke(bulk_commands(), words)
    assert json.loads(outcome.stdout.splitlines()[-1])["changed"] == 6, outcome.exception
    assert client_numbers(firm) == {"L3"}
