"""The description of the API as pages to read: `/docs` is made from the OpenAPI document, `/docs/errors` from the
catalogue of errors, `/docs/actions` and `/docs/events` from what the core says of them.

One HTML file each, with its style inside: no script, no font and nothing else from anywhere. Made once, at start.
"""

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from typing import Any

import msgspec

from ..core.catalogue import ActionType, action_types
from ..core.limits import ACTIONS_BYTES_MAX, ACTIONS_MAX
from ..core.resources import EVENT_TYPES
from .examples import PIN
from .openapi import field_docs
from .problems import CATALOGUE

Json = dict[str, Any]

_STYLE = files("plenary.api").joinpath("docs.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

_STATUSES = {
    400: "The request is wrong in itself",
    401: "Who are you?",
    403: "Not with this token",
    404: "Not there, or not yours",
    405: "Not that way",
    409: "Not at this moment",
    413: "Too much",
    415: "Not in this form",
    416: "Not that part",
    422: "Nothing that this server could do",
    429: "A limit is reached",
    500: "Our fault",
    503: "Not now",
}


def reference(document: Json, address: str) -> bytes:
    """The page that describes every operation and every resource. `address` (`http://…`) is where its curl lines go."""
    operations = _operations(document)
    tags: list[Json] = document["tags"]
    schemas: dict[str, Json] = document["components"]["schemas"]
    parts = [
        f"<h1>{escape(document['info']['title'])}</h1>",
        f'<p class="lead">{escape(document["info"]["summary"])}</p>',
        *(f"<p>{prose(text)}</p>" for text in document["info"]["description"].split("\n\n")),
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
    ]
    for tag in tags:
        parts.append(f'<h2 id="{_slug(tag["name"])}">{escape(tag["name"])}</h2><p>{prose(tag["description"])}</p>')
        parts += [
            _operation(verb, path, operation, address)
            for verb, path, operation in operations
            if operation["tags"] == [tag["name"]]
        ]
    parts.append('<h2 id="schemas">Bodies and resources</h2>')
    parts += [_schema(name, schema) for name, schema in schemas.items()]
    nav = "".join(
        _nav_group(
            tag["name"],
            [(op["operationId"], op["summary"]) for _, _, op in operations if op["tags"] == [tag["name"]]],
        )
        for tag in tags
    )
    shown = _nav_group("Bodies and resources", [(f"schema-{name}", name) for name in schemas])
    nav += shown
    return _page("Plenary API", document["info"]["version"], nav, "".join(parts))


def errors(version: str) -> bytes:
    """The page that `type` of each problem points to."""
    by_status: dict[int, list[str]] = {}
    for code, kind in CATALOGUE.items():
        by_status.setdefault(kind.status, []).append(code)
    parts = [
        "<h1>Errors</h1>",
        '<p class="lead">Every error has a stable code. This is what each means and what to do about it.</p>',
        "<p>They come as <code>application/problem+json</code> (RFC 9457). Branch on <code>code</code>, show "
        "<code>detail</code> to people, and look at <code>errors</code> for the fields at fault. "
        "A code that is not listed here means what its HTTP status says.</p>",
    ]
    for status, codes in sorted(by_status.items()):
        parts.append(f'<h2 id="status-{status}">{status}: {escape(_STATUSES[status])}</h2>')
        for code in codes:
            kind = CATALOGUE[code]
            parts.append(
                f'<article id="{code}"><h3><code>{code}</code></h3><p><strong>{escape(kind.title)}</strong></p>'
                f"<p>{prose(kind.fix)}</p></article>"
            )
    nav = "".join(
        _nav_group(f"{status}", [(code, code) for code in codes]) for status, codes in sorted(by_status.items())
    )
    return _page("Plenary API: errors", version, nav, "".join(parts))


_ACTIONS = f"""\
A list of actions runs on a call: `pre_actions` when it enters a conference, before the room; `post_actions` when it \
leaves the room with the line still up (kicked, conference deleted or timed out, the other party of a `connect` gone); \
`actions` of a call that you place, once it is answered. A caller who hangs up runs none.

`id` is what jumps name, and `next_id` overrides the order of the list; both may be left out. An unknown type or \
option is refused when it is given, with the path of the field; so is a jump to an `id` that is not in the same \
list, except where it is made of variables. A list has at most {ACTIONS_MAX} actions, and all of a conference together \
{ACTIONS_BYTES_MAX // 1024} KiB.

`${{name}}` in any string of `option` is replaced by a variable when the action begins; an unknown one is empty. \
What is put in is never read as JSON or expanded again. Variables: `voipbin.call.id`, `voipbin.call.direction`, \
`voipbin.call.digits`, `voipbin.call.source.target` and `.target_name`, `voipbin.call.destination.target` and \
`.target_name`; inside a conference `voipbin.conference.id`, `.name`, `.detail`, `.type`, `.participant_count` and \
`voipbin.conferencecall.id`; and what `variable_set` has set.

If an action fails (no speech, a file that can't be fetched), the event log says `action_failed` with the reason, and \
the call goes on with the next one; a jump to nowhere ends the call. Actions that run in circles without waiting for \
anything are cut."""


def actions(version: str) -> bytes:
    """The page of the types of actions."""
    found = action_types()
    parts = [
        "<h1>Actions</h1>",
        '<p class="lead">What a call can be made to do, before the room, after it, or on its own.</p>',
        *(f"<p>{prose(text)}</p>" for text in _ACTIONS.split("\n\n")),
        *(_action(action) for action in found),
        '<h2 id="example">A PIN, for example</h2>',
        "<p>The caller has ten seconds for three keys; who knows them goes on to the room, everyone else is told good "
        "bye. Who knows it need not hear the prompt out: with <code>digits_handle</code> his first key ends it, and "
        "counts.</p>",
        _code(json.dumps({"pre_actions": PIN}, indent=2)),
    ]
    nav = _nav_group("Actions", [(action.name, action.name) for action in found])
    nav += _nav_group("More", [("example", "Example")])
    return _page("Plenary: actions", version, nav, "".join(parts))


def events(version: str) -> bytes:
    """The page of the types of the event log."""
    rows = "".join(
        f'<tr id="{name}"><td><code>{name}</code></td><td>{prose(text)}</td></tr>' for name, text in EVENT_TYPES.items()
    )
    head = "<tr><th scope=col>Type</th><th scope=col>Meaning</th></tr>"
    parts = [
        "<h1>Event types</h1>",
        '<p class="lead">What the event log tells, entry by entry.</p>',
        '<p>Read it at <a href="/docs#list_events"><code>/v1.0/events</code></a>. Each entry has the resource as it '
        "was after the change in <code>data</code>, and says in <code>cause</code>, in words, what brought it about. "
        "New types may be added: ignore those you don't know.</p>",
        f'<article><div class="scroll" tabindex="0"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
        "</article>",
    ]
    nav = _nav_group("Event types", [(name, name) for name in EVENT_TYPES])
    return _page("Plenary: event types", version, nav, "".join(parts))


def _action(action: ActionType) -> str:
    (schema,) = msgspec.json.schema_components([action.options], ref_template="{name}")[1].values()
    texts = field_docs(action.options)
    required: list[str] = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{name}</code>{'<span class=must>required</span>' if name in required else ''}</td>"
        f"<td class=type>{escape(_type(field))}</td><td>{prose(texts.get(name, ''))}{_default(field)}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    table = _table(rows) if rows else "<p>No options.</p>"
    does = "".join(f"<p>{prose(text)}</p>" for text in action.does.split("\n\n"))
    return f'<article id="{action.name}"><h3><code>{action.name}</code></h3>{does}{table}</article>'


def prose(text: str) -> str:
    """Text with `code`, **strong** and [links](/to) of ours, as HTML. Everything else in it is text."""
    html = escape(re.sub(r"\s+", " ", text))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
    return re.sub(r"\[([^\]]+)\]\((/[\w/#.-]*)\)", r'<a href="\2">\1</a>', html)


def _page(title: str, version: str, nav: str, main: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#main">To the text</a><div class="frame"><nav aria-label="Contents">'
        f'<a class="brand" href="/docs">Plenary</a><span class="version">{escape(version)}</span>'
        f'<h2>Pages</h2><ul>{_PAGES}</ul><div class="wide">{nav}</div>'
        f'<details class="narrow"><summary>Contents</summary>{nav}</details></nav>'
        f'<main id="main">{main}</main></div></body></html>'
    ).encode()


_PAGES = "".join(
    f'<li><a href="{path}">{title}</a></li>'
    for path, title in (
        ("/docs", "Reference"),
        ("/docs/actions", "Actions"),
        ("/docs/events", "Event types"),
        ("/docs/errors", "Errors"),
    )
)


def _nav_group(title: str, links: list[tuple[str, str]]) -> str:
    items = "".join(f'<li><a href="#{escape(target)}">{escape(text)}</a></li>' for target, text in links)
    return f"<h2>{escape(title)}</h2><ul>{items}</ul>"


def _operations(document: Json) -> list[tuple[str, str, Json]]:
    return [(verb, path, made) for path, item in document["paths"].items() for verb, made in item.items()]


def _operation(verb: str, path: str, operation: Json, address: str) -> str:
    public = '<span class="tag">no key needed</span>' if operation.get("security") == [] else ""
    parts = [
        f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}{public}</h3>',
        f'<p class="route"><span class="verb {verb}">{verb.upper()}</span>{escape(path)}</p>',
    ]
    if "description" in operation:
        parts.append(f"<p>{prose(operation['description'])}</p>")
    parameters: list[Json] = [p for p in operation.get("parameters", []) if p["in"] != "path"]
    if parameters:
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code></td><td class=type>{escape(_type(p['schema']))}</td>"
            f"<td>{prose(p['description'])}{_default(p['schema'])}</td></tr>"
            for p in parameters
        )
        parts.append(f"<h4>Parameters</h4>{_table(rows)}")
    example: Any = None
    if "requestBody" in operation:
        body_type, sent = next(iter(operation["requestBody"]["content"].items()))
        example = sent.get("example")
        needed = "" if operation["requestBody"]["required"] else " (optional)"
        body = _link(sent["schema"]) if "$ref" in sent["schema"] else f"<code>{escape(body_type)}</code>"
        parts.append(f"<h4>Body</h4><p>{body}{needed}</p>")
    parts.append(f"<h4>Try it</h4>{_code(_curl(verb, address + path, operation, example))}")
    status, ok = next((status, made) for status, made in operation["responses"].items() if status < "300")
    content: Json = ok.get("content", {"nothing": {"schema": {}}})
    media_type, answer = next(iter(content.items()))
    what = _link(answer["schema"]) if "$ref" in answer["schema"] else f"<code>{escape(media_type)}</code>"
    parts.append(f"<h4>Answer</h4><p>{status}, {what}</p>")
    if "example" in answer:
        shown = json.dumps(answer["example"], indent=2, ensure_ascii=False)
        parts.append(f"<details><summary>Example</summary>{_code(shown)}</details>")
    codes = [
        (status, code)
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get("application/problem+json", {}).get("examples", {})
    ]
    links = "".join(f'<li><a href="/docs/errors#{code}">{status} {code}</a></li>' for status, code in codes)
    parts.append(f'<details><summary>Errors ({len(codes)})</summary><ul class="codes">{links}</ul></details></article>')
    return "".join(parts)


def _curl(verb: str, address: str, operation: Json, example: Any) -> str:
    ids = {p["name"]: p["example"] for p in operation.get("parameters", []) if p["in"] == "path"}
    address = re.sub(r"{(\w+)}", lambda match: ids[match[1]], address)
    words = ["curl"]
    if verb != "get":
        words.append(f"-X {verb.upper()}")
    words.append(address)
    if operation.get("security") != []:
        words.append("-H 'Authorization: Bearer YOUR_KEY'")
    if isinstance(example, str):
        words.append("-H 'Content-Type: application/sdp' --data-binary @offer.sdp")
    elif example is not None:
        words.append("-H 'Content-Type: application/json'")
        words.append("-d '" + json.dumps(example, indent=2).replace("'", "'\\''") + "'")
    if operation["operationId"] == "download_recording":
        words.append("-o recording.wav")
    first = 2 if verb == "get" else 3
    return " \\\n  ".join([" ".join(words[:first]), *words[first:]])


def _schema(name: str, schema: Json) -> str:
    parts = [f'<article id="schema-{name}"><h3>{escape(name)}</h3>']
    if "description" in schema:
        parts.append(f"<p>{prose(schema['description'])}</p>")
    if "enum" in schema:
        parts.append("<p>One of " + ", ".join(f"<code>{escape(value)}</code>" for value in schema["enum"]) + ".</p>")
    required: list[str] = schema.get("required", []) if schema.get("additionalProperties") is False else []
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{'<span class=must>required</span>' if field in required else ''}</td>"
        f"<td class=type>{_type_html(found)}</td><td>{prose(found.get('description', ''))}</td></tr>"
        for field, found in schema.get("properties", {}).items()
    )
    if rows:
        parts.append(_table(rows))
    return "".join(parts) + "</article>"


def _table(rows: str) -> str:
    head = "<tr><th scope=col>Name</th><th scope=col>Type</th><th scope=col>Meaning</th></tr>"
    return f'<div class="scroll" tabindex="0"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _code(text: str) -> str:
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower())


def _name(schema: Json) -> str:
    return schema["$ref"].rpartition("/")[2]


def _link(schema: Json) -> str:
    return f'<a href="#schema-{_name(schema)}">{_name(schema)}</a>'


def _type_html(schema: Json) -> str:
    if "$ref" in schema:
        return _link(schema)
    if "anyOf" in schema:
        return " or ".join(_type_html(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"{_type_html(schema.get('items', {}))}[]"
    return escape(_type(schema))


def _type(schema: Json) -> str:
    if schema.get("format") == "uuid":
        return "uuid"
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema.get("type") == "array":
        return f"{_type(schema.get('items', {}))}[]"
    return schema.get("type", "any")


def _default(schema: Json) -> str:
    default = schema.get("default")
    if default in (None, "", [], {}):
        return ""
    shown = default if isinstance(default, str) else json.dumps(default)
    return f" Default: <code>{escape(shown)}</code>."
