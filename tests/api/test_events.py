"""The event log, read from any point, and the long poll."""

import asyncio
from typing import Any

import pytest

from plenary.api import waiting

from .fake import ANNS_KEY, BOB, BOBS_KEY, Client, FakeServer

PATH = "/v1.0/events"


def test_an_entry_has_its_position_first_and_the_resource_last(client: Client, server: FakeServer):
    entry = server.happened()
    page = client.get(PATH).json()
    assert list(page) == ["result", "next_position"]
    assert list(page["result"][0]) == [
        "position", "id", "type", "customer_id", "conference_id", "number", "tm", "cause", "data",
    ]  # fmt: skip
    assert (page["result"][0]["position"], page["result"][0]["id"], page["next_position"]) == (1, entry.id, 1)


def test_a_reader_who_goes_on_from_next_position_misses_nothing(client: Client, server: FakeServer):
    made = [server.happened(customer=BOB if n % 3 else "11111111-1111-4111-8111-111111111111") for n in range(30)]
    seen, after = [], 0
    while page := client.get(f"{PATH}?after={after}&limit=3").json()["result"]:
        seen += [row["id"] for row in page]
        after = page[-1]["position"]
    assert seen == [entry.id for entry in made if entry.customer_id != BOB]


def test_at_the_end_of_the_log_the_position_stays(client: Client, server: FakeServer):
    server.happened()
    assert client.get(f"{PATH}?after=17").json() == {"result": [], "next_position": 17}
    assert server.waits == []


def test_events_can_be_those_of_one_conference(client: Client, server: FakeServer):
    ours = client.a_conference()["id"]
    server.happened(conference=client.a_conference()["id"])
    server.happened(conference=ours)
    rows = client.get(f"{PATH}?conference_id={ours}").json()["result"]
    assert [row["conference_id"] for row in rows] == [ours]


def test_a_long_poll_is_answered_as_soon_as_something_happens(client: Client, server: FakeServer):
    async def something_happens(timeout_s: float) -> None:
        server.seconds += timeout_s / 2
        server.happened("conferencecall_joined")

    server.on_wait = something_happens
    page = client.get(f"{PATH}?wait_s=60").json()
    assert [row["type"] for row in page["result"]] == ["conferencecall_joined"]
    assert server.waits == [(0, 60)]


def test_what_happens_to_others_ends_no_long_poll(client: Client, server: FakeServer):
    async def bob_is_busy(timeout_s: float) -> None:
        server.seconds += min(timeout_s, 20)
        server.happened(customer=BOB)

    server.on_wait = bob_is_busy
    assert client.get(f"{PATH}?wait_s=50").json() == {"result": [], "next_position": 0}
    assert [left_s for _, left_s in server.waits] == [50, 30, 10], "the time left shrinks"
    assert [after for after, _ in server.waits] == [0, 1, 2], "it does not wake up for the same entry again"


def test_a_long_poll_ends_empty_handed_when_its_time_is_over(client: Client, server: FakeServer):
    assert client.get(f"{PATH}?after=5&wait_s=3").json() == {"result": [], "next_position": 5}
    assert server.waits == [(0, 3)]


def test_a_server_that_is_about_to_end_ends_the_long_polls(client: Client, server: FakeServer):
    async def ending(_timeout_s: float) -> None:
        pass

    server.on_wait = ending
    assert client.get(f"{PATH}?wait_s=60").json()["result"] == []
    assert len(server.waits) == 1


def test_a_reader_who_has_gone_is_not_waited_for(client: Client, server: FakeServer):
    cancelled: list[str] = []

    async def for_ever(_timeout_s: float) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("the wait")
            raise

    async def scene() -> int:
        server.on_wait = for_ever
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])
        status = 0

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "path": PATH, "raw_path": PATH.encode(),
            "root_path": "", "scheme": "http", "query_string": b"wait_s=60&token=" + ANNS_KEY.encode(), "headers": [],
        }  # fmt: skip
        await client.app(scope, receive, send)
        await asyncio.sleep(0)
        return status

    assert asyncio.run(scene()) == 200
    assert cancelled == ["the wait"]


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", f"after={2**63}", "limit=0", "limit=1001", "wait_s=61", "wait_s=0.5", "after="]
)
def test_a_parameter_out_of_bounds_is_refused(client: Client, query: str):
    answer = client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert answer.json()["errors"][0]["pointer"] == "/" + query.partition("=")[0]


def test_only_so_many_requests_of_one_customer_wait_at_once(
    client: Client, server: FakeServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(waiting, "LONG_POLLS_MAX", 2)

    async def scene() -> list[int]:
        over = asyncio.Event()

        async def until_over(_timeout_s: float) -> None:
            await over.wait()

        server.on_wait = until_over
        waiting = [asyncio.ensure_future(client.asend("GET", f"{PATH}?wait_s=60")) for _ in range(2)]
        while len(server.waits) < 2:
            await asyncio.sleep(0)
        third = await client.asend("GET", f"{PATH}?wait_s=60")
        at_once = await client.asend("GET", PATH)
        bobs = asyncio.ensure_future(client.asend("GET", f"{PATH}?wait_s=60", key=BOBS_KEY))
        while len(server.waits) < 3:
            await asyncio.sleep(0)
        over.set()
        waited = [(await answer).status_code for answer in [*waiting, bobs]]
        again = await client.asend("GET", f"{PATH}?wait_s=60")
        assert third.json()["code"] == "too_many_long_polls"
        return [third.status_code, at_once.status_code, *waited, again.status_code]

    assert asyncio.run(scene()) == [429, 200, 200, 200, 200, 200]
