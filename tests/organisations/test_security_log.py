"""What happens around proof of identity is in the audit log, and an attacker cannot flood it."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from koppel.audit import tasks
from koppel.audit.models import AuditEntry, Occurrence
from koppel.kit.tenancy import INSTALLATION, installation_scope
from koppel.organisations.access.password_links import password_link
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.fixtures.people import PASSWORD, deliver_password_links, signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("reader", name="Anna")  # type: ignore[no-any-return]


def entries(chain: int, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    with installation_scope("test"):
        recorded = AuditEntry.objects.filter(organisation_id=chain, action__startswith=prefix).order_by("pk")
        return [(entry.action, entry.details) for entry in recorded]


def close_windows() -> None:
    """As if ten minutes had passed."""
    with installation_scope("test"):
        Occurrence.objects.update(began_at=timezone.now() - timedelta(minutes=11))
    tasks.close_occurrence_windows(0)


def sign_in(email: str, password: str, address: str = "10.0.0.1") -> int:
    form = {"login": email, "password": password}
    return Client(REMOTE_ADDR=address).post("/accounts/login/", form).status_code


def test_failed_sign_ins_are_counted_in_two_entries(anna: Actor) -> None:
    """Of a known address in its organisation, of others in the installation's log, which names none."""
    email = User.objects.get(pk=anna.user_id).email
    for number in range(5):
        sign_in(email, "wrong", f"10.0.{number}.1")
        sign_in(f"nobody{number}@firm.example", "wrong")
    assert entries(anna.organisation_id, "sign_in.") == [("sign_in.failed", {})]
    close_windows()
    _first, second = entries(anna.organisation_id, "sign_in.")
    assert (second[1]["count"], len(second[1]["addresses"])) == (4, 5)
    (unknown, more) = entries(INSTALLATION, "sign_in.")
    assert (unknown[0], more[1]["count"], "nobody" in str(more)) == ("sign_in.failed", 4, False)
    close_windows()
    assert len(entries(anna.organisation_id, "sign_in.")) == 2
    assert sign_in(email, PASSWORD) == 302


def test_throttles_are_in_the_log(anna: Actor) -> None:
    email = User.objects.get(pk=anna.user_id).email
    for _number in range(12):
        sign_in(email, "wrong")
    assert {action for action, _details in entries(anna.organisation_id, "sign_in.")} == {
        "sign_in.failed",
        "sign_in.throttled",
    }


def test_a_new_password_by_mail_is_in_the_log(anna: Actor) -> None:
    client, user = Client(), User.objects.get(pk=anna.user_id)
    client.post("/accounts/password/reset/", {"email": user.email})
    deliver_password_links()
    form = client.get(urlsplit(password_link(user)).path, follow=True)
    new = "another battery horse staple"
    client.post(form.redirect_chain[-1][0], {"password1": new, "password2": new})
    assert [action for action, _details in entries(anna.organisation_id, "sign_in.")] == [
        "sign_in.reset_requested",
        "sign_in.password_reset",
    ]


def test_refused_permissions_and_tokens_are_in_the_log_once(anna: Actor) -> None:
    client = signed_in(anna)
    for _number in range(3):
        assert client.get("/organisation/security/").status_code == 403
        assert client.get("/api/v1/activity").status_code == 403
        assert client.get("/api/v1/me", headers={"Authorization": "Bearer koppel_x"}).status_code == 401
    refused = entries(anna.organisation_id, "person.permission_refused")
    assert refused == [("person.permission_refused", {"reason": "organisation"})]
    assert entries(INSTALLATION, "sign_in.") == [("sign_in.token_refused", {})]
    close_windows()
    assert entries(anna.organisation_id, "person.permission_refused")[1][1]["count"] == 5
