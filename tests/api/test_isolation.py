"""One customer never sees, changes or ends what is another's: every operation of the table with a foreign id."""

from typing import Any

import pytest

from plenary.api.operations import OPERATIONS, Operation, ids_of

from .fake import ANN, BOBS_KEY, Client, FakeServer
from .test_statistics import statistics_of

WITH_ID = [operation for operation in OPERATIONS if ids_of(operation)]
LISTS = [operation for operation in OPERATIONS if operation.name.startswith("list_")]


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
    return {
        "conference_id": conference,
        "conferencecall_id": server.a_participant(ANN, conference).id,
        "recording_id": server.a_recording(b"RIFF", ANN).id,
        "call_id": call,
    }


def ask(client: Client, operation: Operation, ids: dict[str, str], key: str) -> Any:
    path = operation.path.format(**ids)
    body = {} if operation.body is not None else None
    return (
        client.send(operation.method, path, key=key, json=body)
        if body is not None
        else client.send(operation.method, path, key=key)
    )


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
    assert ask(client, operation, anns, client.key or "").status_code == 200


@pytest.mark.parametrize("operation", LISTS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("filtered", [False, True])
def test_a_list_holds_ones_own_only(client: Client, anns: dict[str, str], operation: Operation, filtered: bool):
    path = operation.path
    if filtered and any(parameter.name == "conference_id" for parameter in operation.query):
        path += f"?conference_id={anns['conference_id']}"
    assert client.get(path, key=BOBS_KEY).json()["result"] == []
    assert len(client.get(path).json()["result"]) == 1
