"""One customer never sees, changes or ends what is another's: every operation of the table with a foreign id."""

from typing import Any

import msgspec
import pytest

from plenary.api import examples
from plenary.api.answers import CallQuality
from plenary.api.operation import PAGE, Operation
from plenary.api.operations import OPERATIONS, ids_of

from .fake import ANN, BOBS_KEY, Client, FakeServer
from .test_statistics import statistics_of

WITH_ID = [operation for operation in OPERATIONS if ids_of(operation)]
LISTS = [operation for operation in OPERATIONS if operation.query[:1] == PAGE[:1] or operation.name == "list_events"]
SDP = {"content-type": "application/sdp"}


@pytest.fixture
def anns(client: Client, server: FakeServer) -> dict[str, str]:
    """One of each of Ann's, by the name of its id in a path."""
    calls = client.post(
        "/v1.0/calls", {"source": {"target": "a@b.example"}, "destinations": [{"target": "c@d.example"}]}
    )
    conference = client.a_conference()["id"]
    server.happened(customer=ANN, conference=conference)
    call = calls.json()["calls"][0]["id"]
    server.statistics[call] = statistics_of(call)
    page = server.a_page(ANN, conference).id
    member = server.a_participant(ANN, conference)
    for one in (page, member.reference_id):
        server.quality[one] = msgspec.convert(examples.CALL_QUALITY, CallQuality)
    return {
        "conference_id": conference,
        "conferencecall_id": member.id,
        "recording_id": server.a_recording(b"RIFF", ANN).id,
        "call_id": call,
        "page_id": page,
        "token_id": server.a_token(conference, ANN).removeprefix("TOKEN-"),
    }


def ask(client: Client, operation: Operation, ids: dict[str, str], key: str) -> Any:
    if "/join/" in operation.path:
        ids = {**ids, "call_id": ids["page_id"]}
    path = operation.path.format(**ids)
    if operation.sdp:
        return client.send(operation.method, path, key=key, content=examples.OFFER, headers=SDP)
    if operation.body is None:
        return client.send(operation.method, path, key=key)
    body = operation.example if operation.name == "press_digits" else {}
    return client.send(operation.method, path, key=key, json=body)


@pytest.mark.parametrize("operation", WITH_ID, ids=lambda operation: operation.name)
def test_a_foreign_id_is_not_found_exactly_as_one_that_never_was(
    client: Client, server: FakeServer, anns: dict[str, str], operation: Operation
):
    before = dict(server.rows)
    foreign = ask(client, operation, anns, BOBS_KEY)
    unknown = ask(client, operation, dict.fromkeys(anns, "99999999-9999-4999-8999-999999999999"), BOBS_KEY)
    assert foreign.status_code == unknown.status_code == 404
    told = [{**answer.json(), "instance": "", "request_id": ""} for answer in (foreign, unknown)]
    assert told[0] == told[1]
    assert server.rows == before


@pytest.mark.parametrize("operation", WITH_ID, ids=lambda operation: operation.name)
def test_the_owner_is_not_kept_out(client: Client, anns: dict[str, str], operation: Operation):
    assert ask(client, operation, anns, client.key or "").status_code == operation.status


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_list_holds_ones_own_only(client: Client, anns: dict[str, str], operation: Operation, filtered: bool):
    path = operation.path.format(**anns)
    if filtered and any(parameter.name == "conference_id" for parameter in operation.query):
        path += f"?conference_id={anns['conference_id']}"
    bobs = client.get(path, key=BOBS_KEY)
    assert bobs.status_code == 404 if ids_of(operation) else bobs.json()["result"] == []
    assert len(client.get(path).json()["result"]) == (2 if operation.name == "list_calls" else 1)
