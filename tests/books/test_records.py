"""Copies of the books over REST: all records page by page, then the changes since."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from koppel.books.models import MODELS_BY_RESOURCE, Account
from koppel.kit.clock import now
from koppel.kit.tenancy import organisation_scope
from tests.books.factories import Ledger, administration_of
from tests.fixtures.people import signed_in
from tests.fixtures.stack import MakeConnected
from tests.sync.factories import import_company


def read(client: Client, root: str, **params: Any) -> tuple[dict[str, dict[str, Any]], str]:
    """Return every page's records by key, and the moment to use for the next update."""
    records: dict[str, dict[str, Any]] = {}
    as_of, after = "", ""
    while True:
        query = "&".join(f"{name}={quote(str(value))}" for name, value in {**params, "after": after}.items())
        answer = client.get(f"{root}?{query}")
        assert answer.status_code == 200, answer.content
        body = answer.json()
        as_of = as_of or body["as_of"]
        assert not records.keys() & {one["external_id"] for one in body["items"]}, "no record twice"
        records |= {one["external_id"]: one for one in body["items"]}
        if body["next"] is None:
            return records, as_of
        after = body["next"]


def test_a_copy_is_complete_and_brought_up_to_date_by_what_changed(connected: MakeConnected) -> None:
    synced = import_company(connected())
    synced.sync()
    client = signed_in(synced.actor)
    root = f"/api/v1/administrations/{synced.administration_id}/books"
    copies = {key: read(client, f"{root}/{key}/records", limit=7)[0] for key in MODELS_BY_RESOURCE}
    assert {key: set(copy) for key, copy in copies.items()} == {key: synced.keys(key) for key in copies}
    line = next(iter(copies["entry_lines"].values()))
    assert (line["debit"], line["credit"]) != ("0.0000", "0.0000")
    assert (line["entry"] in copies["entries"], line["deleted_at"]) == (True, None)

    before = now().isoformat()
    batches = synced.batches()
    first, last = batches[0]["number"], batches[-1]["number"]
    synced.change(edit={first: "Corrected at the source"}, delete=[last])
    synced.sync(full=True)
    changed, _as_of = read(client, f"{root}/entries/records", changed_since=before)
    assert {one["description"] for one in changed.values() if not one["deleted_at"]} == {
        "Corrected at the source"
    }
    gone = {key for key, one in changed.items() if one["deleted_at"]}
    assert gone == {f"{one['module']} {last}" for one in batches if one["number"] == last}
    lines, _as_of = read(client, f"{root}/entry_lines/records", changed_since=before)
    assert {one["entry"] for one in lines.values() if one["deleted_at"]} == gone


def test_a_page_committed_late_is_not_missed(actor: Any) -> None:
    """Its page was read before the copy was made and committed after it."""
    admin = actor("administrator")
    ledger = Ledger(administration_of(admin))
    client = signed_in(admin)
    root = f"/api/v1/administrations/{ledger.administration.pk}/books/accounts/records"
    read_at = now()
    _none, as_of = read(client, root)
    ledger.account("1000", "Bank")
    with organisation_scope(admin.organisation_id):
        Account.objects.update(first_seen=read_at, last_changed=read_at)
    assert set(read(client, root, changed_since=as_of)[0]) == {"1000"}
    assert set(read(client, root, changed_since=(now() + timedelta(hours=1)).isoformat())[0]) == set()


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "changed_since=yesterday", "changed_since=2026-01-01T00:00:00"]
)
def test_invalid_parameters_are_refused(actor: Any, query: str) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    client = signed_in(admin)
    root = f"/api/v1/administrations/{administration.pk}/books"
    assert client.get(f"{root}/accounts/records?{query}").status_code == 422
    assert client.get(f"{root}/nothing/records").json() == {"error": "unknown_resource"}
