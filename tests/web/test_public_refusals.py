"""Public pages show every refusal, as pages behind the sign-in do."""

import pytest
from django.test import Client

from koppel.kit.errors import KoppelError, NotFoundError
from koppel.kit.quarantine import Quarantined
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.sso import services as single_sign_on


@pytest.mark.usefixtures("clean_database")
@pytest.mark.parametrize(
    ("path", "error", "status", "sentence"),
    [
        ("/sign-in/1/", Refused("It is full."), 403, "You could not be signed in"),
        ("/sign-in/1/", NotAllowed("people"), 403, "Not possible"),
        ("/sign-in/1/", NotFoundError(), 404, ""),
        ("/sign-in/1/", Quarantined(), 503, "Koppel is in quarantine"),
        ("/sign-in/", Refused("It is full."), 409, "It is full."),
    ],
)
def test_a_public_page_shows_every_refusal(
    monkeypatch: pytest.MonkeyPatch, path: str, error: KoppelError, status: int, sentence: str
) -> None:
    def refuse(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(single_sign_on, "active_provider", refuse)
    monkeypatch.setattr("koppel.organisations.views.single_sign_on.EmailForm.of", refuse)
    answer = Client().get(path)
    assert answer.status_code == status
    assert sentence in answer.content.decode()
