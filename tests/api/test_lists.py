"""Pages, filters and parameters."""

import pytest

from .fake import Client, FakeServer

PATH = "/v1.0/conferences"


def test_the_pages_of_a_list_hold_everything_once_and_the_last_token_is_empty(client: Client):
    made = [client.a_conference()["id"] for _ in range(25)]
    seen, token = [], ""
    while True:
        page = client.get(f"{PATH}?page_size=7&page_token={token}").json()
        assert list(page) == ["result", "next_page_token"]
        seen += [row["id"] for row in page["result"]]
        token = page["next_page_token"]
        if not token:
            break
    assert seen == made[::-1]


def test_a_page_has_ten_rows_unless_told_otherwise(client: Client):
    for _ in range(11):
        client.a_conference()
    assert len(client.get(PATH).json()["result"]) == 10


@pytest.mark.parametrize("size", [1, 100])
def test_a_page_has_one_to_a_hundred_rows(client: Client, size: int):
    assert client.get(f"{PATH}?page_size={size}").status_code == 200


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("page_size=0", "invalid_parameter", "/page_size"),
        ("page_size=101", "invalid_parameter", "/page_size"),
        ("page_size=-1", "invalid_parameter", "/page_size"),
        ("page_size=", "invalid_parameter", "/page_size"),
        ("page_size=ten", "invalid_parameter", "/page_size"),
        ("page_size=1e1", "invalid_parameter", "/page_size"),
        ("page_size=%C2%B2", "invalid_parameter", "/page_size"),
        ("page_size=1&page_size=2", "invalid_parameter", "/page_size"),
        ("page_size=" + "9" * 5000, "invalid_parameter", "/page_size"),
        ("page_token=nonsense", "invalid_page_token", "/page_token"),
        ("pagesize=1", "unknown_parameter", "/pagesize"),
        ("status=progressing", "unknown_parameter", "/status"),
        ("x=%FF", "invalid_parameter", ""),
        ("&".join(f"p{n}=1" for n in range(50)), "invalid_parameter", ""),
    ],
)
def test_a_parameter_that_cannot_be_honoured_is_refused(client: Client, query: str, code: str, pointer: str):
    answer = client.get(f"{PATH}?{query}")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert problem["errors"][0]["pointer"] == pointer


def test_conferencecalls_can_be_those_of_one_conference(client: Client, server: FakeServer):
    here, there = client.a_conference()["id"], client.a_conference()["id"]
    ours = server.a_participant(conference=here)
    server.a_participant(conference=there)
    rows = client.get(f"/v1.0/conferencecalls?conference_id={here.upper()}").json()["result"]
    assert [row["id"] for row in rows] == [ours.id]
    assert len(client.get("/v1.0/conferencecalls").json()["result"]) == 2


@pytest.mark.parametrize("id", ["x", "", "99accfb7c0dd4a54997ddd18af7bc280", "{99accfb7-c0dd-4a54-997d-dd18af7bc280}"])
def test_a_filter_must_be_an_id(client: Client, id: str):
    answer = client.get("/v1.0/conferencecalls", params={"conference_id": id})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_id")
