"""A refused request is cheap: its response is short, and nothing runs before the refusal."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError as FieldError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pydantic import ValidationError

from koppel.administrations.models import BulkItem
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.forms import IdsField
from koppel.organisations.inputs import OrganisationInput
from tests.web.factories import World, build_world

BYTES_MAX = 200_000
MANY_NAMES = "&".join(
    f"{first}{second}" for first in "abcdefghij" for second in "abcdefghijklmnopqrstuvwxyz0123456789"
)
MANY_COLUMNS = ".".join(f"c{number}" for number in range(400))
BULK = "/api/v1/administrations/bulk"


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def post(client: Client, path: str, body: str) -> Any:
    return client.generic("POST", path, body, "application/json")


@pytest.mark.parametrize(
    "path", ["/notifications/", "/administrations/", "/administrations/rows/", "/issues/", "/account/api/"]
)
def test_a_query_of_many_unknown_names_gets_a_short_response(world: World, path: str) -> None:
    answer = world.client("reader").get(f"{path}?{MANY_NAMES}")
    assert (answer.status_code, len(answer.content) < BYTES_MAX) == (422, True)
    assert "This filter is too long" in answer.content.decode()


def test_of_many_refused_parts_ten_are_named_and_the_others_counted(world: World) -> None:
    names = "&".join(f"x{number}=1" for number in range(40))
    page = world.client("reader").get(f"/notifications/?{names}").content.decode()
    assert (page.count("is not a filter") // 2, "And 30 more." in page, len(page) < BYTES_MAX) == (
        10,
        True,
        True,
    )
    detail = world.client("reader").get(f"/api/v1/notifications?{names}").json()["detail"]
    assert (len(detail), detail[-1]["msg"], detail[-1]["more"]) == (11, "And 30 more.", 30)


def test_many_columns_that_do_not_exist_are_counted_too(world: World) -> None:
    answer = world.client("reader").get(f"/administrations/?columns={MANY_COLUMNS}")
    assert (answer.status_code, "And 390 more." in answer.content.decode()) == (422, True)
    assert len(answer.content) < BYTES_MAX


@pytest.mark.parametrize(
    "text", ["columns=" + "." * 200_000, "columns=" + "x." * 100_000, "&" * 200_000, "q=" + "a" * 9000]
)
def test_a_filter_of_bulk_work_that_is_too_long_is_refused_in_few_words(world: World, text: str) -> None:
    body = json.dumps({"action": "add_favourite", "filter": text, "start": True})
    answer = post(world.client("reader"), BULK, body)
    assert (answer.status_code, len(answer.content) < 2000) == (422, True)
    assert answer.json()["detail"][0]["loc"] == ["body", "filter"]
    form = {"action": "add_favourite", "query": text, "all": "1", "next": "/administrations/?all=1"}
    page = world.client("reader").post("/administrations/bulk/preview", form, follow=True)
    assert ("This filter is too long" in page.content.decode(), len(page.content) < BYTES_MAX) == (True, True)
    saved = world.client("reader").post("/administrations/views", {"name": "Mine", "query": text})
    assert (saved.status_code, len(saved.content) < BYTES_MAX) == (422, True)


def test_permissions_are_checked_before_the_filter(world: World) -> None:
    body = json.dumps({"action": "deactivate", "filter": "columns=" + "." * 200_000, "start": True})
    assert post(world.client("reader"), BULK, body).status_code == 403
    assert post(world.client("reader"), BULK, body.replace("columns", "stauts")).status_code == 403


@pytest.mark.parametrize("text", [rb"\ud800", rb"Bakkerij \uDFFF", b"\xed\xa0\x80"])
def test_half_a_character_is_refused_before_anything_is_stored(world: World, text: bytes) -> None:
    client = world.client("administrator")
    for body in (b'{"name": "' + text + b'"}', b'{"x": ["' + text + b'"]}', b'{"' + text + b'": 1}'):
        answer = client.post("/api/v1/divisions", body, content_type="application/json")
        assert answer.status_code in (400, 422), answer.content
    assert (
        client.post(
            "/api/v1/divisions", b'{"name": "\\ud83d\\ude00"}', content_type="application/json"
        ).status_code
        == 201
    )


@pytest.mark.parametrize("name", ["A\r\nBcc: b@c.test", "A\nB", "A\tB", "A\x1b[2J", "A\u2028B", "A\u202eB"])
def test_a_name_is_one_line_everywhere(world: World, name: str) -> None:
    client = world.client("administrator")
    rest = client.post("/api/v1/divisions", {"name": name}, content_type="application/json")
    assert rest.status_code == 422, rest.content
    page = client.post("/organisation/settings/", {"name": name})
    assert "without control characters" in page.content.decode()
    with pytest.raises(ValidationError):
        OrganisationInput(name=name)


def test_a_body_with_many_mistakes_is_refused_in_few_words(world: World) -> None:
    body = json.dumps({"action": "add_favourite", "ids": ["x"] * 9_000, "y" * 100_000: 1})
    answer = post(world.client("administrator"), BULK, body)
    assert (answer.status_code, len(answer.content) < BYTES_MAX) == (422, True)
    assert answer.json()["detail"][-1]["msg"] == "And 8991 more."


@pytest.mark.parametrize("path", ["/api/v1/administrations", "/api/v1/activity", "/api/v1/people"])
def test_an_operation_does_not_run_before_its_unknown_parameter_is_refused(world: World, path: str) -> None:
    client = world.client("administrator")
    assert queries_of(client, path, 200) > queries_of(client, f"{path}?stauts=failed", 422)


def queries_of(client: Client, path: str, status: int) -> int:
    """Return the number of queries of the request, whose response has this status."""
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path).status_code == status
    return len(captured)


@pytest.mark.parametrize("path", ["activity", "people", "divisions", "templates", "connections", "webhooks"])
def test_a_caller_without_permission_does_not_learn_parameters(world: World, path: str) -> None:
    assert world.client("reader").get(f"/api/v1/{path}?stauts=failed").status_code == 403


def test_a_body_that_names_a_key_twice_is_refused_by_that_key(world: World) -> None:
    client = world.client("administrator")
    twice = '{"action": "add_favourite", "filter": "status=failed", "filter": "", "start": true}'
    nested = (
        '{"action": "change", "filter": "status=active", "params": {"sector": "A", "sector": "B"}, '
        '"start": true}'
    )
    for body, key in ((twice, "filter"), (nested, "sector")):
        answer = post(client, BULK, body)
        assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", key])
    assert client.get(BULK).json() == []


@pytest.mark.parametrize("day", ["2026-W01-1", "20260101", "1767225600", "2026-1-1", "２０２６-01-01"])
def test_a_day_is_written_in_one_way(world: World, day: str) -> None:
    client = world.client("administrator")
    assert client.get("/organisation/activity/", {"since": day}).status_code == 422
    assert client.get("/api/v1/activity", {"until": day}).status_code == 422
    assert client.get("/api/v1/activity?since=2026-01-01").status_code == 200


IDS = [(digits, "9" * digits) for digits in (17, 18, 19, 20)]


@pytest.mark.parametrize(
    ("digits", "number"), [*IDS, (18, "1" + "0" * 17), (19, str(2**63 - 1)), (19, str(2**63))]
)
def test_a_long_id_is_never_left_out(world: World, digits: int, number: str) -> None:
    """Of a person or division that does not exist there is nothing; a number that no row can have is
    refused.
    """
    client, fits = world.client("administrator"), int(number) < 2**63
    for path in (
        f"/organisation/activity/?person={number}",
        f"/organisation/activity/?person={number}&format=csv",
    ):
        answer = client.get(path)
        content = b"".join(answer).decode()
        answer.close()
        assert answer.status_code == 422 or not has_rows(path, content), path
        assert fits or answer.status_code == 422, path
    for path in (
        f"/organisation/people/?division={number}",
        f"/administrations/?division={number}",
        f"/administrations/?user={number}",
        f"/administrations/?import={number}",
        f"/administrations/?template={number}",
        f"/api/v1/administrations?division={number}",
        f"/api/v1/administrations?import_id={number}",
        f"/api/v1/activity?person={number}",
    ):
        assert client.get(path).status_code == 422, path
    for path in (f"/api/v1/activity?before={number}", f"/administrations/?done={number}&all=1"):
        assert client.get(path).status_code == (200 if fits else 422), path
    assert client.get(f"/connections/import?connection={number}").status_code in (
        (404,) if fits else (404, 422)
    )


def has_rows(path: str, content: str) -> bool:
    return content.count("\n") > 1 if "csv" in path else "<tbody" in content


@pytest.mark.parametrize("depth", [100, 600, 5000, 100_000])
def test_a_body_nested_too_deeply_is_refused(world: World, depth: int) -> None:
    body = '{"action":"add_favourite","ids":[1],"params":{"x":' + "[" * depth + "]" * depth + "}}"
    answer = post(world.client("reader"), BULK, body)
    assert answer.status_code in (400, 422)
    assert answer["Content-Type"].startswith("application/json")
    assert len(answer.content) < BYTES_MAX


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (BULK, {"action": "add_favourite", "ids": list(range(1, 20_001))}),
        ("/api/v1/notifications/read", {"ids": list(range(1, 20_001))}),
    ],
)
def test_a_list_of_more_than_a_firm_has_is_refused(world: World, path: str, body: dict[str, Any]) -> None:
    with CaptureQueriesContext(connection) as queries:
        answer = post(world.client("reader"), path, json.dumps(body))
    assert answer.status_code == 422
    assert "at most 10000 entries" in answer.content.decode()
    assert len(answer.content) < BYTES_MAX
    assert not [query for query in queries if "20000" in query["sql"]]


def test_ids_of_nothing_are_counted_and_not_stored(world: World) -> None:
    body = {"action": "add_favourite", "ids": list(range(10**9, 10**9 + 5000))}
    answer = post(world.client("reader"), BULK, json.dumps(body))
    assert answer.status_code == 409, answer.content
    assert "5000 of the selected administrations do not exist" in answer.content.decode()
    with organisation_scope(world.admin.organisation_id):
        assert not BulkItem.objects.exists()


def test_a_field_of_a_page_takes_no_more_ids_than_a_body() -> None:
    with pytest.raises(FieldError, match="at most 10000"):
        IdsField().clean([",".join(map(str, range(1, 20_001)))])


@pytest.mark.parametrize(
    "path",
    ["/api/v1/administrations", "/administrations/", "/administrations/rows/", "/issues/", "/activity/"],
)
@pytest.mark.parametrize("text", ["%00", "%20%00", "a%00b"])
def test_a_nul_is_refused_and_never_left_out(world: World, path: str, text: str) -> None:
    answer = world.client("administrator").get(f"{path}?q={text}")
    assert answer.status_code in (404, 422)
    assert "Fjordheim" not in answer.content.decode()
