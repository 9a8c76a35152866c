"""The example of the contract, to the letter."""

from typing import Any

import pytest

from plenary.api.examples import CREATE_CONFERENCE

from .fake import ANN, Client

ZERO = "00000000-0000-0000-0000-000000000000"
NEVER = "9999-01-01 00:00:00.000000"

FIELDS = [
    "id", "customer_id", "type", "status", "name", "detail", "data", "timeout", "pre_actions", "post_actions",
    "conferencecall_ids", "recording_id", "recording_ids", "tm_create", "tm_update", "tm_delete",
    "transcribe_id", "transcribe_ids", "tm_end", "settings",
]  # fmt: skip

BODY = """\
{
  "type": "conference",
  "name": "test conference",
  "detail": "test conference for example.",
  "data": {},
  "timeout": 0,
  "pre_actions":  [{"type": "talk", "option": {"text": "Hello. Welcome to the test conference.", "gender": "female", "language": "en-US"}}],
  "post_actions": [{"type": "talk", "option": {"text": "The conference has closed. Thank you. Good bye.", "gender": "female", "language": "en-US"}}]
}
"""  # noqa: E501


@pytest.fixture
def conference(client: Client) -> dict[str, Any]:
    answer = client.post("/v1.0/conferences", content=BODY, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_every_field_is_there_in_the_order_of_the_contract(conference: dict[str, Any]):
    assert list(conference) == FIELDS


def test_actions_come_back_as_sent_with_zero_ids(conference: dict[str, Any]):
    assert conference["pre_actions"] == [
        {
            "id": ZERO,
            "next_id": ZERO,
            "type": "talk",
            "option": {"text": "Hello. Welcome to the test conference.", "gender": "female", "language": "en-US"},
        }
    ]
    assert list(conference["post_actions"][0]) == ["id", "next_id", "type", "option"]
    assert conference["post_actions"][0]["option"]["text"] == "The conference has closed. Thank you. Good bye."


def test_what_has_not_happened_is_a_zero_id_an_empty_list_or_the_year_9999(conference: dict[str, Any]):
    assert conference["conferencecall_ids"] == conference["recording_ids"] == conference["transcribe_ids"] == []
    assert conference["recording_id"] == conference["transcribe_id"] == ZERO
    assert conference["tm_update"] == conference["tm_delete"] == conference["tm_end"] == NEVER


def test_the_owner_is_taken_from_the_credentials(conference: dict[str, Any]):
    assert conference["customer_id"] == ANN


def test_reading_it_again_gives_the_same_bytes(client: Client, conference: dict[str, Any]):
    assert client.get(f"/v1.0/conferences/{conference['id']}").json() == conference


def test_the_documentation_shows_this_example(client: Client, conference: dict[str, Any]):
    again = client.post("/v1.0/conferences", CREATE_CONFERENCE).json()
    same = FIELDS[2:13]
    assert [again[field] for field in same] == [conference[field] for field in same]


def test_only_the_type_must_be_given(client: Client):
    made = client.a_conference()
    assert (made["name"], made["data"], made["timeout"], made["pre_actions"]) == ("", {}, 0, [])
    assert made["settings"] == {"aliases": []}
