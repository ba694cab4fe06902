"""Which identity provider an e-mail address leads to; never that of another organisation."""

import html
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from datetime import timedelta
from typing import Any

import pytest
import typer
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.cli.checks.connectivity import check_name_servers
from koppel.kit.errors import KoppelError
from koppel.kit.http import txt_records
from koppel.kit.http.name_servers import NameServer
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import EmailDelivery, Notification
from koppel.organisations.access import domain_verification
from koppel.organisations.commands import email_domains, organisations
from koppel.organisations.models import EmailDomain, Membership, Organisation
from koppel.organisations.roles import Actor
from koppel.organisations.tasks import check_domains
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.people import signed_in
from tests.organisations.dns_server import MUTE, DnsServer, running_dns
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    sign_in_through_provider,
)


@pytest.fixture
def ada(actor: Any) -> Actor:
    return actor("administrator", name="Ada")  # type: ignore[no-any-return]


@pytest.fixture
def eve(ada: Actor, actor: Any, running_provider: Idp) -> Actor:
    """Administrator of a second firm, with an identity provider named *Eve's*."""
    admin: Actor = actor("administrator", name="Eve")
    running_provider.reset()
    configure(admin, running_provider, name="Eve's provider")
    return admin


@pytest.fixture
def dns(settings: Any) -> Iterator[DnsServer]:
    """The name server that Koppel asks."""
    with running_dns() as server:
        settings.DNS_SERVERS = (server.address,)
        yield server


def shell(*words: object, app: typer.Typer = organisations.app) -> Any:
    with redirect_stdout(io.StringIO()) as printed:
        args = [*map(str, words), "--json"]
        typer.main.get_command(app).main(args=args, prog_name="koppel", standalone_mode=False)
    return json.loads(printed.getvalue().splitlines()[-1])


def add(admin: Actor, name: str) -> EmailDomain:
    """The Administrator adds a domain under Security."""
    page = signed_in(admin).post(SECURITY + "domains", {"domain": name}, follow=True).content.decode()
    assert "is added" in page, page
    with organisation_scope(admin.organisation_id):
        return EmailDomain.objects.get(domain=name)


def check(admin: Actor, domain: EmailDomain) -> str:
    """The Administrator presses *Check now*; what the page says."""
    set_columns(domain, checked_at=None)
    address = f"{SECURITY}domains/{domain.pk}/check"
    return html.unescape(signed_in(admin).post(address, follow=True).content.decode())


def verify(admin: Actor, dns: DnsServer, name: str) -> EmailDomain:
    domain = add(admin, name)
    dns.records.setdefault(domain.record_name, []).append(domain.record_value)
    assert "is verified" in check(admin, domain)
    return domain


def set_columns(domain: EmailDomain, **changed: Any) -> None:
    """Set columns, as if time had passed."""
    with organisation_scope(domain.organisation_id):
        EmailDomain.objects.filter(pk=domain.pk).update(**changed)


def run_job(domain: EmailDomain, *, days: float) -> EmailDomain:
    """The scheduled check, so many days after the last one."""
    with organisation_scope(domain.organisation_id):
        stored = EmailDomain.objects.get(pk=domain.pk)
        assert stored.next_check_at is not None
        moved = {
            field: getattr(stored, field) - timedelta(days=days)
            for field in ("checked_at", "missing_since", "next_check_at")
            if getattr(stored, field) is not None
        }
        EmailDomain.objects.filter(pk=domain.pk).update(**moved)
    check_domains(0)
    with organisation_scope(domain.organisation_id):
        return EmailDomain.objects.get(pk=domain.pk)


def audited(admin: Actor) -> list[str]:
    with organisation_scope(admin.organisation_id):
        entries = AuditEntry.objects.filter(action__startswith="organisation.domain").order_by("pk")
        return [
            action.removeprefix("organisation.domain_") for action in entries.values_list("action", flat=True)
        ]


def list_notified(admin: Actor) -> list[str]:
    with organisation_scope(admin.organisation_id):
        rows = Notification.objects.filter(
            membership_id=admin.membership_id, event__event_type__startswith="domain"
        )
        return list(rows.order_by("pk").values_list("event__event_type", flat=True))


def names(admin: Actor, domains: str) -> str:
    """The Administrator sets the allowed domains of invitations under Security; what the page says."""
    form = {"email_domains": domains, "audit_years": "7"}
    return signed_in(admin).post(SECURITY, form, follow=True).content.decode()


def leads_to(email: str) -> str:
    """The heading under which the sign-in page shows whose provider it is; '' when it knows none."""
    page = Client().post("/sign-in/", {"email": email}).content.decode()
    return "Eve" if "Eve&#x27;s provider" in page else "Ada" if "Ada&#x27;s provider" in page else ""


def test_slow_name_servers_of_other_firms_delay_a_check_and_do_not_refuse_it(
    actor: Any, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin: Actor = actor("administrator")
    domain = add(admin, "kantoor.nl")
    dns.records[domain.record_name] = [domain.record_value]
    with ExitStack() as others:
        for _slot in range(domain_verification.CHECKS_MAX):
            others.enter_context(domain_verification._checks.slot(None))
        with monkeypatch.context() as hurry:
            hurry.setattr(domain_verification, "CHECK_WAIT_SECONDS", 0.05)
            assert "follows by itself" in check(admin, domain)
            assert "follows by itself" in check(admin, domain), "one job is enough"
        check_domains(0)
        with organisation_scope(admin.organisation_id):
            assert EmailDomain.objects.get(pk=domain.pk).is_verified
        threading.Timer(0.2, others.pop_all().close).start()
        assert "is verified" in check(admin, domain), "it waits for its turn"


def test_a_domain_that_is_only_claimed_leads_nowhere(ada: Actor, eve: Actor, dns: DnsServer) -> None:
    names(eve, "example.test")
    assert leads_to(email_of(ada)) == ""
    page = check(eve, add(eve, "example.test"))
    assert "The record of example.test was not found" in page
    assert "_koppel.example.test" in page
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


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("gmail.com", "public mail service"),
        ("co.uk", "public ending"),
        ("公司.cn", "public ending"),
        ("github.io", "public ending"),
        ("no domain", "not a domain"),
        ("10.0.0.1", "not a domain"),
        ("a" * 64 + ".nl", "not a domain"),
        ("", "required"),
    ],
)
def test_what_cannot_be_verified_is_refused_with_the_reason(eve: Actor, typed: str, reason: str) -> None:
    answer = signed_in(eve).post(SECURITY + "domains", {"domain": typed})
    assert reason in html.unescape(answer.content.decode())
    with organisation_scope(eve.organisation_id):
        assert not EmailDomain.objects.exists()


def test_a_record_verifies_a_domain_until_it_is_removed(ada: Actor, eve: Actor, dns: DnsServer) -> None:
    domain = add(eve, "firm.test")
    dns.publish("_koppel.firm.test", "v=something else", domain.record_value)
    assert leads_to("x@firm.test") == ""
    assert "firm.test is verified" in check(eve, domain)
    assert dns.questions == ["_koppel.firm.test"]
    assert leads_to("whoever@Firm.Test") == "Eve"
    assert (leads_to("x@sub.firm.test"), leads_to("x@firm.test@elsewhere.test")) == ("", "")
    post_and_confirm(signed_in(eve), f"{SECURITY}domains/{domain.pk}/remove")
    assert leads_to("x@firm.test") == ""
    assert audited(eve) == ["added", "verified", "removed"]
    assert audited(ada) == []


def test_a_domain_with_accents_is_looked_up_as_dns_spells_it(eve: Actor, dns: DnsServer) -> None:
    signed_in(eve).post(SECURITY + "domains", {"domain": "Café.test"})
    with organisation_scope(eve.organisation_id):
        domain = EmailDomain.objects.get()
    dns.publish("_koppel.xn--caf-dma.test", domain.record_value)
    assert "café.test is verified" in check(eve, domain)
    assert leads_to("x@CAFÉ.test") == leads_to("x@xn--caf-dma.test") == "Eve"


def test_a_record_behind_an_alias_does_not_count(eve: Actor, dns: DnsServer) -> None:
    """As `*.firm.test CNAME shared.host.test` would make one that the firm did not choose."""
    domain = add(eve, "firm.test")
    dns.aliases["_koppel.firm.test"] = "shared.host.test"
    dns.publish("shared.host.test", domain.record_value)
    assert "was not found" in check(eve, domain)


def test_a_second_organisation_does_not_get_the_domain_of_the_first(
    ada: Actor, eve: Actor, running_provider: Idp, dns: DnsServer
) -> None:
    configure(ada, running_provider, name="Ada's provider")
    with organisation_scope(ada.organisation_id):
        Organisation.objects.update(name="Ada and partners")
    first = verify(ada, dns, "firm.test")
    second = add(eve, "firm.test")
    dns.publish("_koppel.firm.test", first.record_value, second.record_value)
    page = check(eve, second)
    assert "belongs to another organisation of this installation" in page
    assert "Ada and partners" not in page
    assert leads_to("x@firm.test") == "Ada"
    with pytest.raises(KoppelError, match="one organisation"):
        shell("confirm-domain", eve.organisation_id, "FIRM.test")


def test_a_domain_moves_when_only_the_record_of_the_second_is_left(
    ada: Actor, eve: Actor, running_provider: Idp, dns: DnsServer
) -> None:
    configure(ada, running_provider, name="Ada's provider")
    verify(ada, dns, "firm.test")
    second = add(eve, "firm.test")
    dns.publish("_koppel.firm.test", second.record_value)
    assert "is verified" in check(eve, second)
    assert leads_to("x@firm.test") == "Eve"
    assert (audited(ada), list_notified(ada)) == (["added", "verified", "lapsed"], ["domain_lapsed"])
    with organisation_scope(ada.organisation_id):
        entry = AuditEntry.objects.get(action="organisation.domain_lapsed")
        assert (entry.actor_name, "Eve" in str(entry.details)) == ("Koppel", False)
    assert "Lapsed" in signed_in(ada).get(SECURITY).content.decode()


def test_a_domain_lapses_after_three_checks_over_days(eve: Actor, dns: DnsServer) -> None:
    """What the operator confirmed stays; and what no server answers is no missing record."""
    domain = verify(eve, dns, "firm.test")
    shell("confirm-domain", eve.organisation_id, "airgap.test")
    dns.records.clear()
    assert run_job(domain, days=30).missing_checks == 1
    assert list_notified(eve) == ["domain_record_missing"]
    for _attempt in range(3):
        check(eve, domain)
    assert leads_to("x@firm.test") == "Eve", "four checks, but within a day"
    dns.fault = "SERVFAIL"
    for _attempt in range(3):
        unknown = run_job(domain, days=1)
    assert (unknown.check_result, unknown.is_verified) == ("unknown", True)
    dns.fault = ""
    lapsed = run_job(domain, days=0.5)
    assert (lapsed.state, lapsed.next_check_at) == ("lapsed", None)
    assert (leads_to("x@firm.test"), leads_to("x@airgap.test")) == ("", "Eve")
    assert list_notified(eve) == ["domain_record_missing", "domain_lapsed"]
    assert audited(eve)[-1] == "lapsed"
    with organisation_scope(eve.organisation_id):
        assert Membership.objects.get().is_live
        assert EmailDelivery.objects.filter(notification__membership_id=eve.membership_id).exists()
    dns.publish(domain.record_name, domain.record_value)
    assert "is verified" in check(eve, domain)
    assert leads_to("x@firm.test") == "Eve"


def test_a_record_that_returns_within_two_days_starts_the_count_anew(eve: Actor, dns: DnsServer) -> None:
    domain = verify(eve, dns, "firm.test")
    records, dns.records = dns.records, {}
    run_job(domain, days=30)
    run_job(domain, days=1)
    dns.records = records
    counted = run_job(domain, days=1)
    assert (counted.missing_checks, counted.missing_since, counted.check_result) == (0, None, "present")
    dns.records = {}
    assert run_job(domain, days=30).is_verified


def test_a_name_server_that_never_answers_is_waited_for_a_few_seconds(
    eve: Actor, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(txt_records, "SECONDS_MAX", 0.3)
    domain = verify(eve, dns, "firm.test")
    dns.fault = MUTE
    started = time.monotonic()
    assert "gave no answer" in check(eve, domain)
    assert time.monotonic() - started < 3
    assert leads_to("x@firm.test") == "Eve"


def test_rest_and_shell_do_what_the_page_does(eve: Actor, dns: DnsServer) -> None:
    client, headers = signed_in(eve), {"content_type": "application/json"}
    added = client.post("/api/v1/email-domains", {"domain": "Firm.test"}, **headers)
    assert added.status_code == 201
    assert client.post("/api/v1/email-domains", {"domain": "firm.test"}, **headers).status_code == 409
    domain = added.json()
    dns.publish(domain["record_name"], domain["record_value"])
    checked = client.post(f"/api/v1/email-domains/{domain['id']}/check", **headers).json()
    assert (checked["state"], checked["method"], checked["check_result"]) == ("verified", "dns", "present")
    assert "just been checked" in client.post(f"/api/v1/email-domains/{domain['id']}/check").json()["message"]
    member = ("--as", email_of(eve))
    assert [row["domain"] for row in shell("list", *member, app=email_domains.app)] == ["firm.test"]
    second = shell("create", "second.test", *member, app=email_domains.app)
    assert shell("check", second["id"], *member, app=email_domains.app)["check_result"] == "missing"
    shell("delete", second["id"], *member, app=email_domains.app)
    assert client.delete(f"/api/v1/email-domains/{domain['id']}").status_code == 204
    assert client.get("/api/v1/email-domains").json() == []


def test_an_operator_confirms_a_domain_and_revokes_it(ada: Actor, eve: Actor) -> None:
    assert shell("confirm-domain", eve.organisation_id, "@Firm.test.") == {
        "domain": "firm.test",
        "organisation": eve.organisation_id,
    }
    assert leads_to("whoever@Firm.Test") == "Eve"
    assert "Confirmed by the operator" in signed_in(eve).get(SECURITY).content.decode()
    (row,) = shell("list-domains")
    assert (row["domain"], row["organisation"], row["is_used"]) == ("firm.test", eve.organisation_id, True)
    shell("unconfirm-domain", "firm.test")
    assert leads_to("whoever@firm.test") == ""
    assert audited(eve) == ["confirmed", "revoked"]


def test_the_firms_own_sign_in_link_needs_no_domain(eve: Actor, running_provider: Idp) -> None:
    running_provider.says(sub="eve")
    link(eve, eve)
    assert Client().get(f"/sign-in/{provider_id(eve)}/").status_code == 200
    assert sign_in_through_provider(eve).headers["Location"] == "/"


def test_the_sign_in_page_does_not_say_whether_there_is_an_account(ada: Actor, eve: Actor) -> None:
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


def test_the_check_of_the_installation_asks_the_name_servers(
    dns: DnsServer, settings: Any, clean_database: None
) -> None:
    def report() -> list[tuple[bool, bool, str]]:
        return [(one.is_ok, one.is_advice, one.text) for one in check_name_servers()]

    address = f"127.0.0.1:{dns.address.port}"
    ((well, _advice, text),) = report()
    assert well
    assert f"name servers {address} (KOPPEL_DNS_SERVERS); all answer" in text
    dns.fault = "REFUSED"
    ((well, _advice, text),) = report()
    assert (well, "answers REFUSED. New" in text) == (False, True)
    dns.fault = ""
    settings.DNS_SERVERS = (dns.address, NameServer("127.0.0.1", 9))
    ((well, is_advice, text),) = report()
    assert (well, is_advice, "127.0.0.1:9" in text) == (True, True, True)
    settings.DNS_SERVERS = ()
    assert report() == [], "Nobody has a domain to verify."
