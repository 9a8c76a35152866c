"""How the media of a call fare."""

import msgspec

from plenary.api import examples
from plenary.api.answers import CallStatistics

from .fake import Client, FakeServer


def statistics_of(call: str) -> CallStatistics:
    return msgspec.convert(examples.CALL_STATISTICS | {"call_id": call}, CallStatistics)


def a_call(client: Client) -> str:
    body = {"source": {"target": "a@b.example"}, "destinations": [{"target": "c@d.example"}]}
    return client.post("/v1.0/calls", body).json()["calls"][0]["id"]


def test_the_figures_of_a_call_are_those_of_the_engine(client: Client, server: FakeServer):
    call = a_call(client)
    server.statistics[call] = msgspec.structs.replace(
        statistics_of(call), round_trip_ms=None, lost=7, level_dbfs=-23.456
    )
    answer = client.get(f"/v1.0/calls/{call}/statistics")
    assert answer.status_code == 200
    assert (answer.json()["call_id"], answer.json()["lost"], answer.json()["round_trip_ms"]) == (call, 7, None)
    assert answer.json()["level_dbfs"] == -23.5


def test_a_call_without_media_has_no_figures(client: Client):
    answer = client.get(f"/v1.0/calls/{a_call(client)}/statistics")
    assert (answer.status_code, answer.json()["code"]) == (409, "call_without_media")
