"""Invalid input: an error at its field on a page, by name over REST, a sentence on the command line."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict

from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.forms import (
    ChoiceField,
    DayField,
    FlagField,
    Form,
    IdField,
    IdsField,
    MomentField,
    TextField,
)
from koppel.kit.web.schemas import Input
from koppel.organisations.models import Division
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in


class Everything(Form[Input]):
    text = TextField(max_length=5)
    row = IdField()
    rows = IdsField()
    flag = FlagField()
    day = DayField()
    moment = MomentField()
    choice = ChoiceField(choices=[("a", "A")])


def test_an_empty_form_asks_for_nothing() -> None:
    assert Everything(QueryDict("")).values == {
        "text": "",
        "row": None,
        "rows": [],
        "flag": False,
        "day": None,
        "moment": None,
        "choice": "",
    }


def test_values_have_the_types_of_use_cases() -> None:
    values = Everything(
        QueryDict("text=+a+&row=7&rows=3&rows=4,5&rows=3&flag=1&day=2026-12-31&choice=a")
    ).values
    assert values["text"] == "a"
    assert values["row"] == 7
    assert values["rows"] == [3, 4, 5]
    assert values["flag"] is True
    assert str(values["day"]) == "2026-12-31"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("text", "a\0b"),
        ("text", "longer than five"),
        ("row", "0"),
        ("row", "-1"),
        ("row", "seven"),
        ("row", "9" * 30),
        ("row", "٣"),
        ("rows", "1,two"),
        ("flag", "perhaps"),
        ("flag", "2"),
        ("day", "31-12-2026"),
        ("day", "2026-02-30"),
        ("moment", "2026-12-31T10:00:00"),
        ("moment", "yesterday"),
        ("choice", "b"),
    ],
)
def test_a_value_that_cannot_be_understood_is_an_error_at_its_field(name: str, text: str) -> None:
    data = QueryDict(mutable=True)
    data[name] = text
    form = Everything(data)
    assert not form.is_valid()
    assert list(form.errors) == [name]


def test_a_refusal_stands_at_its_field_with_what_was_typed_and_nothing_is_stored(actor: Any) -> None:
    admin = actor("administrator")
    browser = signed_in(admin)
    browser.post("/organisation/divisions/", {"name": "Zuid"})
    page = browser.post("/organisation/divisions/", {"name": " zuid "})
    text = page.content.decode()
    assert page.status_code == 200
    assert 'value=" zuid " required maxlength="120" autocomplete="off" aria-invalid="true"' in " ".join(
        text.split()
    )
    assert '<span class="field-error" id="name-error">“zuid” already exists.</span>' in text
    with organisation_scope(admin.organisation_id):
        assert Division.objects.count() == 1


def test_a_button_that_is_refused_leads_back_to_its_page_which_says_why(actor: Any) -> None:
    browser = signed_in(actor("administrator"))
    path = browser.post("/organisation/divisions/", {"name": "Zuid"}).headers["Location"]
    for into, sentence in (
        ("", "Choose the one to keep."),
        ("x", "is not one of the options"),
        ("77", "Division not found"),
    ):
        answer = browser.post(f"{path}merge", {"into": into})
        assert answer.headers["Location"] == path
        assert sentence in browser.get(path).content.decode()


def test_rest_names_the_field_of_a_refusal(actor: Any) -> None:
    browser = signed_in(actor("administrator"))
    headers = {"content_type": "application/json"}
    browser.post("/api/v1/divisions", {"name": "Zuid"}, **headers)
    answer = browser.post("/api/v1/divisions", {"name": "zuid"}, **headers)
    assert answer.status_code == 409
    assert answer.json() == {"error": "refused", "message": "“zuid” already exists.", "field": "name"}
    assert browser.put("/api/v1/divisions/77", {"name": "x"}, **headers).json()["error"] == "not_found"


def test_a_file_that_is_too_large_is_an_error_at_its_field(actor: Any) -> None:
    browser = signed_in(actor("administrator"))
    upload = SimpleUploadedFile("people.csv", b"x" * (1024 * 1024 + 1))
    page = browser.post("/organisation/people/invite/many/", {"file": upload}, follow=True).content.decode()
    assert '<span class="field-error" id="file-error">This file is larger than 1 MB.' in page


def test_days_that_are_missing_are_asked_for_by_name(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, "Bakkerij De Haan B.V.")
    answer = signed_in(admin).post(f"/administrations/{administration.pk}/offboard", {}, follow=True)
    assert "Enter the date on which the client left." in answer.content.decode()
