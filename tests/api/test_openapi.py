"""The OpenAPI document says what the server does, completely; the pages made from it can be read."""

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from plenary.api.examples import IDS, PIN
from plenary.api.handlers import Handlers
from plenary.api.openapi import document, field_docs
from plenary.api.operations import OPERATIONS, Operation, error_codes
from plenary.api.problems import CATALOGUE
from plenary.core.actions import check_actions
from plenary.core.catalogue import action_types
from plenary.core.resources import EVENT_TYPES, Action

from .fake import Client

DOCUMENT = document("1.2.3")
PAGES = ("/docs", "/docs/errors", "/docs/actions", "/docs/events")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
DESCRIBED = [(path, verb, made) for path, item in DOCUMENT["paths"].items() for verb, made in item.items()]


def test_the_document_is_served_as_it_is_made(client: Client):
    served = client.get("/openapi.json").json()
    assert served["openapi"] == "3.1.0"
    assert served["info"]["version"] == "0.0.1"
    assert served["paths"].keys() == DOCUMENT["paths"].keys()


def test_every_operation_is_described_and_every_handler_has_one():
    assert {(made["operationId"], verb.upper(), path) for path, verb, made in DESCRIBED} == {
        (operation.name, operation.method, operation.path) for operation in OPERATIONS
    }
    public = {name for name in vars(Handlers) if not name.startswith("_")}
    assert public <= {operation.name for operation in OPERATIONS}


def test_every_reference_leads_somewhere_and_every_schema_is_used():
    references = set(re.findall(r"#/components/schemas/(\w+)", msgspec.json.encode(DOCUMENT).decode()))
    assert references == SCHEMAS.keys()


@pytest.mark.parametrize(("path", "verb", "made"), DESCRIBED, ids=lambda value: value if isinstance(value, str) else "")
def test_an_operation_has_all_that_the_standard_wants(path: str, verb: str, made: dict[str, Any]):
    """OpenAPI 3.1, sections 4.8.10 to 4.8.17."""
    assert made["summary"]
    assert {tag["name"] for tag in DOCUMENT["tags"]} >= set(made["tags"])
    in_path = [p["name"] for p in made.get("parameters", []) if p["in"] == "path"]
    assert in_path == re.findall(r"{(\w+)}", path)
    assert all(p["required"] for p in made.get("parameters", []) if p["in"] == "path")
    assert all(p["description"] for p in made.get("parameters", []) if p["in"] == "query")
    assert ("requestBody" in made) == (verb in ("post", "put", "patch"))
    assert all(re.fullmatch(r"[2-5]\d\d", status) for status in made["responses"])
    assert all(response["description"] for response in made["responses"].values())
    security = made.get("security", DOCUMENT["security"])
    assert all(name in DOCUMENT["components"]["securitySchemes"] for choice in security for name in choice)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_lists_its_errors(operation: Operation):
    made = DOCUMENT["paths"][operation.path][operation.method.lower()]
    listed = {
        code
        for response in made["responses"].values()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    }
    assert listed == set(error_codes(operation))


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.body], ids=lambda operation: operation.name)
def test_the_example_of_a_body_is_a_body(operation: Operation):
    assert operation.body is not None
    if operation.example is not None:
        msgspec.convert(operation.example, operation.body)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.answer], ids=lambda operation: operation.name)
def test_the_example_of_an_answer_has_every_field(operation: Operation):
    assert operation.answer is not None
    value = msgspec.convert(operation.answer_example, operation.answer)
    assert msgspec.to_builtins(value) == operation.answer_example


def test_fields_have_formats_bounds_and_the_words_of_the_source():
    conference, body = SCHEMAS["Conference"], SCHEMAS["CreateConferenceBody"]
    assert conference["required"] == list(conference["properties"])
    assert conference["properties"]["id"]["format"] == "uuid"
    assert conference["properties"]["conferencecall_ids"]["items"]["format"] == "uuid"
    assert "pattern" in conference["properties"]["tm_create"]
    assert body["required"] == ["type"]
    assert body["additionalProperties"] is False
    assert body["properties"]["timeout"]["minimum"] == 0
    assert body["properties"]["pre_actions"]["description"].startswith("Run, in order,")


class Reader(HTMLParser):
    """Checks that elements are nested, and collects ids, links and text."""

    VOID = ("meta", "link", "br", "img", "input", "hr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            if name == "id":
                self.ids.append(value or "")
            elif name in ("href", "src"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(client: Client, path: str) -> Reader:
    answer = client.get(path, key=None)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    reader = Reader()
    reader.feed(answer.text)
    assert reader.open == []
    return reader


def test_the_page_shows_every_operation_with_curl_and_example(client: Client):
    page = read(client, "/docs")
    for operation in OPERATIONS:
        assert operation.name in page.ids
        assert operation.summary in page.text
    assert page.text.count("curl") >= len(OPERATIONS)
    assert "Hello. Welcome to the test conference." in page.text
    assert "Authorization: Bearer YOUR_KEY" in page.text


def test_the_page_of_errors_explains_every_code(client: Client):
    page = read(client, "/docs/errors")
    assert CATALOGUE.keys() <= set(page.ids)
    assert all(kind.title in page.text for kind in CATALOGUE.values())


def test_the_page_of_actions_explains_every_type_and_every_option(client: Client):
    page = read(client, "/docs/actions")
    assert {action.name for action in action_types()} <= set(page.ids)
    for action in action_types():
        assert action.does
        assert field_docs(action.options).keys() == set(action.options.__struct_fields__)
    assert "digits_handle" in page.text
    check_actions(msgspec.convert(PIN, list[Action]), "")


def test_the_page_of_events_explains_every_type(client: Client):
    assert set(EVENT_TYPES) <= set(read(client, "/docs/events").ids)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_and_every_field_has_words_of_its_own(name: str):
    """Not those that msgspec has for its own struct."""
    assert "dog" not in msgspec.json.encode(SCHEMAS[name]).decode()
    assert SCHEMAS[name]["description"]
    if name not in SELF_EXPLAINING:
        assert [
            field for field, schema in SCHEMAS[name].get("properties", {}).items() if "description" not in schema
        ] == []


SELF_EXPLAINING = {"CallStatistics", "Pong", "Health", "Readiness", "LoggedEvent"} | {
    name for name in SCHEMAS if name.endswith("Page")
}
"""Whose fields need no words, or not all of them."""


def test_an_id_in_an_example_is_of_its_kind():
    for path, _, made in DESCRIBED:
        for parameter in made.get("parameters", []):
            if parameter["in"] == "path":
                assert parameter["example"] == IDS[parameter["name"]], path


def test_who_opens_the_server_in_a_browser_gets_to_the_documentation(client: Client):
    answer = client.get("/", key=None)
    assert (answer.status_code, answer.headers["location"]) == (308, "/docs")


def test_counters_are_not_shown_with_the_time_of_the_start(client: Client):
    client.get("/ping")
    assert "_created" not in client.get("/metrics").text


def test_all_links_lead_to_something_on_these_pages(client: Client):
    pages = {path: read(client, path) for path in PAGES}
    for here, page in pages.items():
        assert len(page.ids) == len(set(page.ids))
        for link in page.links:
            path, _, fragment = link.partition("#")
            assert client.get(path or here, key=None).status_code == 200 if path not in pages and path else True
            assert not fragment or fragment in pages[path or here].ids, link


def test_the_pages_load_nothing_from_anywhere(client: Client):
    for path in PAGES:
        page = read(client, path)
        assert page.tags.isdisjoint({"script", "link", "img", "iframe", "object", "form"})
        assert all(link.startswith(("/", "#")) for link in page.links)
        policy = client.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
