"""The OpenAPI 3.1 document, from the table of operations and the structs that really decode and encode.

Schemas come from msgspec; descriptions of fields are the docstrings under them, read from the source.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from enum import Enum
from typing import Any

import msgspec

from . import answers, examples, operations
from .bodies import STAMP_PATTERN, Body
from .operation import SDP, SDP_MAX, Operation
from .operations import OPERATIONS
from .problems import CATALOGUE, MEDIA_TYPE, ProblemBody

Json = dict[str, Any]

TAGS = {
    "Conferences": "Rooms that phones call.",
    "Participants": "Who is in a conference, or was. Deleting one takes him out.",
    "Recordings": "What was said.",
    "Calls": "Phones, called or calling.",
    "Browsers": "Joining by WebRTC: tokens, offers and answers, and what a page shows.",
    "Events": "Everything that happened, in order.",
    "Server": "Health, figures and this description.",
}

INTRODUCTION = """\
Create a conference, call it by phone at `sip:<id>@<host>`, and be told of everything that happens.

**Keys.** Every request under `/v1.0` needs an access key: `Authorization: Bearer KEY`, `?accesskey=KEY` or \
`?token=KEY`. A join token stands in its place where the operation says so. There are no cookies. What belongs to \
another customer does not exist for you (404).

**Values.** Ids are UUIDs; "none" is `00000000-0000-0000-0000-000000000000`. Times are UTC, \
`YYYY-MM-DD HH:MM:SS.ffffff`; `9999-01-01 00:00:00.000000` means "has not happened". Every field of a resource is \
always there. New fields may be added: ignore those you don't know.

**Nothing is silently dropped.** Unknown fields, unknown parameters and values out of bounds are refused with an error \
that points at them. Bodies are JSON objects of at most 1 MiB, nested at most 32 deep.

**Lists** give `page_size` items, newest first, and a `next_page_token` for the next page. It is empty on the last page.

**Errors** are `application/problem+json` (RFC 9457) with a stable `code`, a sentence for people, and JSON pointers to \
the fields at fault. Each code is explained at [/docs/errors](/docs/errors).

**Requests** may carry an `X-Request-Id` (up to 128 letters, digits and `._:-`); the answer has it, or a new one."""

_PROBLEM = {"$ref": "#/components/schemas/ProblemBody"}


def document(version: str) -> Json:
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plenary",
            "version": version,
            "summary": "A conference server that people program.",
            "description": INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The access key."},
                "accesskey": {"type": "apiKey", "in": "query", "name": "accesskey", "description": "The access key."},
                "token": {"type": "apiKey", "in": "query", "name": "token", "description": "The access key."},
            },
        },
        "security": [{"bearer": []}, {"accesskey": []}, {"token": []}],
    }


def _operation(operation: Operation) -> Json:
    made: Json = {"operationId": operation.name, "tags": [operation.tag], "summary": operation.summary}
    if operation.description:
        made["description"] = operation.description
    parameters: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"},
            "example": examples.IDS[name],
        }
        for name in operations.ids_of(operation)
    ]
    parameters += [
        {"name": p.name, "in": "query", "required": False, "description": p.description, "schema": p.schema}
        for p in operation.query
    ]
    parameters += [
        {"name": p.name, "in": "header", "required": False, "description": p.description, "schema": p.schema}
        for p in operation.headers
    ]
    if operation.name == "download_recording":
        parameters += [
            {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": text}
            for name, text in (
                ("Range", "One range, such as `bytes=0-65535`."),
                ("If-Range", "The `ETag`: without this version, the whole file is wanted."),
                ("If-None-Match", "The `ETag` of what you have."),
            )
        ]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        content: Json = {"schema": _ref(operation.body)}
        if operation.example is not None:
            content["example"] = operation.example
        made["requestBody"] = {"required": operation.body_required, "content": {"application/json": content}}
    if operation.sdp:
        schema = {"type": "string", "maxLength": SDP_MAX}
        made["requestBody"] = {"required": True, "content": {SDP: {"schema": schema, "example": examples.OFFER}}}
    made["responses"] = _responses(operation)
    if operation.public:
        made["security"] = []
    return made


def _responses(operation: Operation) -> Json:
    answer: Json = {}
    if operation.answer is not None:
        answer["schema"] = _ref(operation.answer)
        answer["example"] = operation.answer_example
    elif operation.media_type == "application/json":
        answer["schema"] = {"type": "object"}
    elif operation.media_type == "audio/wav":
        answer["schema"] = {"type": "string", "contentMediaType": "audio/wav", "contentEncoding": "binary"}
    else:
        answer["schema"] = {"type": "string"}
    headers = {"X-Request-Id": {"schema": {"type": "string"}, "description": "Id of this request."}}
    if operation.status == 201 and operation.sdp:
        headers["Location"] = {"schema": {"type": "string"}, "description": "The address of this join."}
    done: Json = {"description": "Done.", "headers": headers}
    if operation.status != 204:
        done["content"] = {operation.media_type: answer}
    responses: Json = {str(operation.status): done}
    if operation.name == "readyz":
        responses["503"] = {
            "description": "Not ready.",
            "content": {
                "application/json": {
                    "schema": _ref(answers.Readiness),
                    "example": operation.answer_example
                    | {"ready": False, "reasons": ["The media engine is not connected."]},
                }
            },
        }
    if operation.name == "download_recording":
        responses["206"] = {"description": "The range that was asked for.", "content": {operation.media_type: answer}}
        responses["304"] = {"description": "You have this version."}
    by_status: dict[int, list[str]] = {}
    for code in operations.error_codes(operation):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    for status, codes in sorted(by_status.items()):
        described: Json = {
            "description": " ".join(f"`{code}`: {CATALOGUE[code].title}" for code in codes),
            "content": {MEDIA_TYPE: {"schema": _PROBLEM, "examples": {code: _problem(code) for code in codes}}},
        }
        if status == 401:
            described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        responses.setdefault(str(status), described)
    return dict(sorted(responses.items()))


def _problem(code: str) -> Json:
    kind = CATALOGUE[code]
    return {
        "summary": kind.title,
        "value": {
            "type": f"/docs/errors#{code}",
            "title": kind.title,
            "status": kind.status,
            "detail": kind.title,
            "instance": "/v1.0/…",
            "code": code,
            "request_id": "7f0c1d2e3b4a59687786958473625140",
            "errors": [],
        },
    }


def _ref(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


def _schemas() -> Json:
    roots: list[type[msgspec.Struct]] = [ProblemBody]
    for operation in OPERATIONS:
        roots += [struct for struct in (operation.body, operation.answer) if struct is not None]
    roots = list(dict.fromkeys(roots))
    _, schemas = msgspec.json.schema_components(roots, ref_template="#/components/schemas/{name}")
    types = {found.__name__: found for found in reachable(roots)}
    for name, schema in schemas.items():
        _describe(schema, types.get(name))
    return dict(sorted(schemas.items()))


def _describe(schema: Json, struct: type[Any] | None) -> None:
    """Adds what msgspec can't know: the docstrings, which strings are ids and times, and that answers are complete."""
    schema.pop("title", None)
    schema.pop("description", None)
    if struct is None:
        return
    doc = struct.__dict__.get("__doc__")  # its own: msgspec's is about a struct that describes a dog
    if doc:
        schema["description"] = inspect.cleandoc(doc)
    if issubclass(struct, Enum):
        return
    texts = field_docs(struct)
    properties: dict[str, Json] = schema.get("properties", {})
    for name, field in properties.items():
        if name == "id" or name.endswith("_id"):
            field["format"] = "uuid"
        elif name.endswith("_ids") and field.get("type") == "array":
            field["items"] = {**field["items"], "format": "uuid"}
        elif name == "tm" or name.startswith("tm_"):
            field["pattern"] = STAMP_PATTERN
        if name in texts:
            field["description"] = texts[name]
    if not issubclass(struct, Body) and struct.__name__ != "Settings":
        schema["required"] = list(properties)


def field_docs(struct: type[Any]) -> dict[str, str]:
    """The string under each field of a class, from its source and that of its bases."""
    texts: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if not base.__module__.startswith("plenary."):
            continue
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(tree, ast.ClassDef)
        for field, after in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                texts[field.target.id] = re.sub(r"\s+", " ", after.value.value).strip()
    return texts


def reachable(roots: Iterable[type[Any]]) -> set[type[Any]]:
    """The structs and enums in these and in their fields, however deep."""
    found: set[type[Any]] = set()

    def visit(kind: msgspec.inspect.Type) -> None:
        if isinstance(kind, msgspec.inspect.StructType | msgspec.inspect.EnumType):
            if kind.cls in found:
                return
            found.add(kind.cls)
        if isinstance(kind, msgspec.inspect.StructType):
            for field in kind.fields:
                visit(field.type)
        elif isinstance(kind, msgspec.inspect.ListType):
            visit(kind.item_type)
        elif isinstance(kind, msgspec.inspect.UnionType):
            for option in kind.types:
                visit(option)

    for root in roots:
        visit(msgspec.inspect.type_info(root))
    return found
