"""Which identity provider an e-mail address leads to; never that of another organisation."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
import typer
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.commands import organisations
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    running_idp,
    walk,
)


@pytest.fixture(scope="module")
def running() -> Iterator[Idp]:
    with running_idp() as idp:
        yield idp


@pytest.fixture
def ada(actor: Any) -> Actor:
    return actor("administrator", name="Ada")  # type: ignore[no-any-return]


@pytest.fixture
def eve(ada: Actor, actor: Any, running: Idp) -> Actor:
    """Administrator of a second firm, with an identity provider named *Eve's*."""
    admin: Actor = actor("administrator", name="Eve")
    running.reset()
    configure(admin, running, name="Eve's provider")
    return admin


def shell(*words: object) -> Any:
    with redirect_stdout(io.StringIO()) as printed:
        args = [*map(str, words), "--json"]
        typer.main.get_command(organisations.app).main(args=args, prog_name="koppel", standalone_mode=False)
    return json.loads(printed.getvalue().splitlines()[-1])


def names(admin: Actor, domains: str) -> str:
    """The Administrator names domains under Security; what the page says."""
    form = {"email_domains": domains, "audit_years": "7"}
    return signed_in(admin).post(SECURITY, form, follow=True).content.decode()


def leads_to(email: str) -> str:
    """The heading under which the sign-in page shows whose provider it is; '' when it knows none."""
    page = Client().post("/sign-in/", {"email": email}).content.decode()
    return "Eve" if "Eve&#x27;s provider" in page else "Ada" if "Ada&#x27;s provider" in page else ""


def test_an_unconfirmed_domain_does_not_lead_to_a_provider(ada: Actor, eve: Actor) -> None:
    page = names(eve, "example.test")
    assert "Not confirmed yet: example.test" in page
    assert leads_to(email_of(ada)) == ""


@pytest.mark.parametrize(
    "domain",
    ["gmail.com", "GMAIL.com.", "outlook.com", "hotmail.nl", "yahoo.co.uk", "ziggo.nl", "ｇmail.com"],
)
def test_a_public_mail_domain_is_refused(eve: Actor, domain: str) -> None:
    assert "public mail service" in names(eve, f"firm.test, {domain}")
    with organisation_scope(eve.organisation_id):
        assert Organisation.objects.get().email_domains == []
    with pytest.raises(KoppelError, match="public mail service"):
        shell("confirm-domain", eve.organisation_id, domain)


def test_an_earlier_public_domain_does_not_lead_to_a_provider(actor: Any, running: Idp) -> None:
    """The only organisation, from before the rule."""
    admin = actor("administrator")
    running.reset()
    configure(admin, running, name="Eve's provider")
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(email_domains=["gmail.com", "firm.test"])
    assert (leads_to("x@gmail.com"), leads_to("x@firm.test")) == ("", "Eve")


def test_an_operator_confirms_a_domain_and_revokes_it(ada: Actor, eve: Actor) -> None:
    names(eve, "firm.test")
    assert shell("confirm-domain", eve.organisation_id, "@Firm.test.") == {
        "domain": "firm.test",
        "organisation": eve.organisation_id,
    }
    assert leads_to("whoever@Firm.Test") == "Eve"
    assert "Not confirmed yet" not in signed_in(eve).get(SECURITY).content.decode()
    (row,) = shell("list-domains")
    assert (row["domain"], row["organisation"], row["is_used"]) == ("firm.test", eve.organisation_id, True)
    shell("unconfirm-domain", "firm.test")
    assert leads_to("whoever@firm.test") == ""
    with organisation_scope(eve.organisation_id):
        acts = AuditEntry.objects.filter(action__startswith="organisation.domain").order_by("pk")
        assert list(acts.values_list("action", flat=True)) == [
            "organisation.domain_confirmed",
            "organisation.domain_revoked",
        ]


def test_a_domain_has_one_owner(ada: Actor, eve: Actor, running: Idp) -> None:
    configure(ada, running, name="Ada's provider")
    names(ada, "firm.test")
    names(eve, "firm.test")
    shell("confirm-domain", ada.organisation_id, "firm.test")
    with pytest.raises(KoppelError, match="one organisation"):
        shell("confirm-domain", eve.organisation_id, "FIRM.test")
    assert leads_to("x@firm.test") == "Ada"
    names(ada, "")
    assert leads_to("x@firm.test") == "", "Neither does it pass to who names it too."


def test_a_confirmed_domain_counts_only_while_its_owner_names_it(ada: Actor, eve: Actor) -> None:
    shell("confirm-domain", eve.organisation_id, "firm.test")
    assert leads_to("x@firm.test") == ""
    names(eve, "firm.test")
    assert leads_to("x@firm.test") == "Eve"
    assert leads_to("x@sub.firm.test") == ""
    assert leads_to("x@firm.test@elsewhere.test") == ""


def test_a_second_firm_ends_the_trust_in_what_the_only_one_names(
    actor: Any, organisation: Any, running: Idp
) -> None:
    admin = actor("administrator")
    running.reset()
    configure(admin, running, name="Eve's provider")
    assert "Not confirmed yet" not in names(admin, "firm.test")
    assert leads_to("x@firm.test") == "Eve"
    organisation("Another firm")
    assert leads_to("x@firm.test") == ""
    assert "Not confirmed yet: firm.test" in signed_in(admin).get(SECURITY).content.decode()


def test_the_firms_own_sign_in_link_needs_no_domain(eve: Actor, running: Idp) -> None:
    running.says(sub="eve")
    link(eve, eve)
    assert Client().get(f"/sign-in/{provider_id(eve)}/").status_code == 200
    assert walk(eve).headers["Location"] == "/"


def test_the_sign_in_page_does_not_say_whether_there_is_an_account(ada: Actor, eve: Actor) -> None:
    names(eve, "example.test")
    shell("confirm-domain", eve.organisation_id, "example.test")
    assert {leads_to(email_of(ada)), leads_to(email_of(eve)), leads_to("nobody@example.test")} == {"Eve"}


def test_what_is_no_domain_or_no_organisation_is_refused(ada: Actor) -> None:
    for words in (
        ("confirm-domain", ada.organisation_id, "no domain"),
        ("confirm-domain", 987654, "firm.test"),
    ):
        with pytest.raises(KoppelError):
            shell(*words)
    with pytest.raises(KoppelError, match="not confirmed"):
        shell("unconfirm-domain", "firm.test")
