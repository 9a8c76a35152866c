"""A server without calls, disk or time: what `create_app` needs, held in dictionaries."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec

from plenary.api import ApiDeps, create_app, examples
from plenary.api.answers import CallQuality, CallStatistics, ConferenceQuality, SipListener
from plenary.api.problems import Problem
from plenary.api.roster import Roster
from plenary.core import events
from plenary.core.changes import Row
from plenary.core.errors import Invalid, NotFound, Refusal, WrongState
from plenary.core.ids import ZERO_ID, stamp
from plenary.core.resources import (
    SCOPES,
    Address,
    Call,
    CallDirection,
    CallStatus,
    Conference,
    Conferencecall,
    ConferencecallStatus,
    ConferenceStatus,
    JoinToken,
    LogEntry,
    Recording,
    RecordingStatus,
    Resource,
    TokenRole,
)
from plenary.store.views import Listing, Page

ANN, BOB = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
ANNS_KEY, BOBS_KEY = "anns-secret-key", "bobs-secret-key"

KINDS: dict[str, type[Any]] = {
    "conference": Conference,
    "conferencecall": Conferencecall,
    "recording": Recording,
    "call": Call,
}


class FakeFile:
    """Counts what is read of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.bytes_read = 0
        self.closed = False

    @property
    def size(self) -> int:
        return len(self.content)

    async def read(self, offset: int, length: int) -> bytes:
        assert not self.closed
        assert 0 <= offset <= offset + length <= self.size
        self.bytes_read += length
        return self.content[offset : offset + length]

    async def close(self) -> None:
        self.closed = True


class FakeServer:
    def __init__(self) -> None:
        self.ids = (str(uuid.UUID(int=n, version=4)) for n in itertools.count(1))
        self.now = 1_700_000_000.0
        self.seconds = 0.0
        """The monotonic clock."""
        self.rows: dict[str, Resource] = {}
        self.log: list[LogEntry] = []
        self.asked: list[events.Request] = []
        self.refusal: Exception | None = None
        """What the next questions fail with."""
        self.reasons: list[str] = []
        self.statistics: dict[str, CallStatistics] = {}
        self.files: dict[str, FakeFile] = {}
        self.waits: list[tuple[int, float]] = []
        self.roster = Roster("life")
        self.tokens: dict[str, JoinToken] = {}
        """By what is signed: here, `TOKEN ` and the id."""
        self.revoked: set[str] = set()
        self.keys = {ANNS_KEY: ANN, BOBS_KEY: BOB}
        self.quality: dict[str, CallQuality] = {}
        self.on_wait: Callable[[float], Awaitable[None]] | None = None

    # --- what the API needs --------------------------------------------------------------------------------------

    def deps(self, **changes: Any) -> ApiDeps:
        return ApiDeps(
            **{
                "ask": self.ask,
                "customer_of": self.customer_of,
                "views": self,
                "log": FakeTail(self),
                "recordings": FakeFiles(self),
                "statistics": self.statistics.get,
                "ready": lambda: self.reasons,
                "sip": [SipListener(address="192.0.2.1:5060", srtp="required")],
                "clock": lambda: self.seconds,
                "wall_clock": lambda: self.now,
                "exchange": self.exchange,
                "tokens": self,
                "roster": self.roster,
                "quality": self,
                "version": "0.0.1",
                **changes,
            }
        )

    async def customer_of(self, key: str) -> str | None:
        return self.keys.get(key)

    async def ask(self, build: Callable[[int], events.Request]) -> Resource | list[Resource]:
        request = build(len(self.asked) + 1)
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return self.answer(request)

    def answer(self, request: events.Request) -> Resource | list[Resource]:
        match request:
            case events.CreateConference():
                made = Conference(
                    id=next(self.ids),
                    customer_id=request.customer,
                    status=ConferenceStatus.STARTING,
                    tm_create=self.stamp(),
                    type=request.type,
                    **self.changes(request),
                )
                return self.put(made)
            case events.UpdateConference():
                old = self.owned("conference", request.customer, request.conference)
                if old.status is ConferenceStatus.TERMINATED:
                    raise WrongState("conference_terminated", "The conference has ended.")
                changed = self.changes(request)
                return self.put(msgspec.structs.replace(old, **changed, tm_update=self.stamp()))
            case events.DeleteConference():
                old = self.owned("conference", request.customer, request.conference)
                return self.put(
                    msgspec.structs.replace(old, status=ConferenceStatus.TERMINATED, tm_delete=self.stamp())
                )
            case events.StartConferenceRecording() | events.StopConferenceRecording():
                return self.owned("conference", request.customer, request.conference)
            case events.KickConferencecall() | events.MuteConferencecall() | events.ProcessConferencecall():
                return self.owned("conferencecall", request.customer, request.conferencecall)
            case events.DeleteRecording():
                return self.owned("recording", request.customer, request.recording)
            case events.EndToken():
                return []
            case events.HangUpCall() | events.PageRequest():
                return self.owned("call", request.customer, request.call)
            case events.CreateCalls():
                return [
                    self.put(
                        Call(
                            id=next(self.ids),
                            customer_id=request.customer,
                            source=request.source,
                            destination=destination,
                            status=CallStatus.DIALING,
                            direction=CallDirection.OUTGOING,
                            tm_create=self.stamp(),
                        )
                    )
                    for destination in request.destinations
                ]
            case _:
                raise AssertionError(request)

    async def exchange(self, build: Callable[[int], Any]) -> Any:
        request = build(len(self.asked) + 1)
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        if isinstance(request, events.JoinConference):
            self.owned("conference", request.customer, request.conference)
            call = self.a_page(request.customer, request.conference, request.token, request.call, request.name)
            return SimpleNamespace(call=call.id, sdp="v=0\r\nan answer")
        self.owned("call", request.customer, request.call)
        return SimpleNamespace(call=request.call, sdp="v=0\r\nanother answer")

    # --- tokens and quality --------------------------------------------------------------------------------------

    def looks_like_one(self, text: str) -> bool:
        return text.startswith("TOKEN-")

    async def issue(self, token: JoinToken, expires: int) -> str:  # noqa: ARG002
        self.tokens[f"TOKEN-{token.id}"] = token
        return f"TOKEN-{token.id}"

    async def verify(self, text: str) -> JoinToken:
        token = self.tokens.get(text)
        if token is None:
            raise Problem("invalid_credentials", "This is no join token of this server.")
        if token.id in self.revoked:
            raise Problem("token_revoked", "This join token was taken back.")
        if token.tm_expire < stamp(self.now) and not self.roster.seated(token.id):
            raise Problem("token_expired", "This join token has expired.")
        return token

    async def revoke(self, customer: str, conference: str, id: str) -> JoinToken:
        self.owned("conference", customer, conference)
        token = self.tokens.get(f"TOKEN-{id}")
        if token is None or (token.customer_id, token.conference_id) != (customer, conference):
            raise NotFound("token_not_found", "There is no join token with this id.")
        self.revoked.add(id)
        return token

    def of_call(self, call: str) -> CallQuality | None:
        return self.quality.get(call)

    def of_conference(self, conference: str) -> ConferenceQuality:
        return msgspec.convert({**examples.CONFERENCE_QUALITY, "conference_id": conference}, ConferenceQuality)

    async def join_tokens(self, customer: str, page: Page, conference: str) -> Listing:  # noqa: ARG002
        found = [t for t in self.tokens.values() if (t.customer_id, t.conference_id) == (customer, conference)]
        return Listing(items=[msgspec.json.encode(token) for token in found], next_page_token="")

    @staticmethod
    def changes(request: events.CreateConference | events.UpdateConference) -> dict[str, Any]:
        fields = ("name", "detail", "data", "timeout", "pre_actions", "post_actions", "settings")
        return {field: getattr(request, field) for field in fields}

    # --- views ---------------------------------------------------------------------------------------------------

    async def conference(self, customer: str, id: str) -> bytes:
        return msgspec.json.encode(self.owned("conference", customer, id))

    async def conferencecall(self, customer: str, id: str) -> bytes:
        return msgspec.json.encode(self.owned("conferencecall", customer, id))

    async def recording(self, customer: str, id: str) -> bytes:
        return msgspec.json.encode(self.owned("recording", customer, id))

    async def call(self, customer: str, id: str) -> bytes:
        return msgspec.json.encode(self.owned("call", customer, id))

    async def conferences(self, customer: str, page: Page) -> Listing:
        return self.page(Conference, customer, page)

    async def conferencecalls(self, customer: str, page: Page, conference: str | None = None) -> Listing:
        return self.page(Conferencecall, customer, page, conference)

    async def recordings(self, customer: str, page: Page) -> Listing:
        return self.page(Recording, customer, page)

    async def calls(self, customer: str, page: Page) -> Listing:
        return self.page(Call, customer, page)

    async def events(self, customer: str, after: int, limit: int, conference: str | None) -> list[tuple[int, bytes]]:
        return [
            (position, msgspec.json.encode(entry))
            for position, entry in enumerate(self.log, 1)
            if position > after and entry.customer_id == customer and conference in (None, entry.conference_id)
        ][:limit]

    def page(self, kind: type[Any], customer: str, page: Page, conference: str | None = None) -> Listing:
        if page.token and not page.token.isdigit():
            raise Invalid("invalid_page_token", "page_token is none that this server gave out.", "/page_token")
        found = [
            row
            for row in reversed(self.rows.values())
            if isinstance(row, kind)
            and row.customer_id == customer
            and (conference is None or (isinstance(row, Conferencecall) and row.conference_id == conference))
        ]
        start = int(page.token or 0)
        more = len(found) > start + page.size
        rows = found[start : start + page.size]
        return Listing(
            items=[msgspec.json.encode(row) for row in rows], next_page_token=str(start + page.size) if more else ""
        )

    # --- the world -----------------------------------------------------------------------------------------------

    def stamp(self) -> str:
        self.now += 1
        return stamp(self.now)

    def put(self, row: Any) -> Any:
        self.rows[row.id] = row
        return row

    def owned(self, kind: str, customer: str, id: str) -> Any:
        row = self.rows.get(id)
        if not isinstance(row, KINDS[kind]) or row.customer_id != customer:
            raise NotFound(f"{kind}_not_found", f"There is no {kind} with this id.")
        return row

    def happened(self, type: str = "conference_created", customer: str = ANN, conference: str = ZERO_ID) -> LogEntry:
        entry = LogEntry(
            id=next(self.ids),
            type=type,
            customer_id=customer,
            conference_id=conference,
            tm=self.stamp(),
            cause="a test",
        )
        self.log.append(entry)
        return entry

    def a_participant(self, customer: str = ANN, conference: str = ZERO_ID) -> Conferencecall:
        return self.put(
            Conferencecall(
                id=next(self.ids),
                customer_id=customer,
                conference_id=conference,
                reference_id=next(self.ids),
                status=ConferencecallStatus.JOINED,
                tm_create=self.stamp(),
            )
        )

    def a_page(
        self, customer: str, conference: str, token: str = "", id: str = "", name: str = "Ann", **fields: Any
    ) -> Call:
        """A call of a browser that is up, as the roster has it."""
        call = self.put(
            Call(
                **{
                    "id": id or next(self.ids),
                    "customer_id": customer,
                    "source": Address(type="web", target=token, target_name=name),
                    "destination": Address(type="web", target=conference),
                    "status": CallStatus.PROGRESSING,
                    "direction": CallDirection.INCOMING,
                    "tm_create": self.stamp(),
                    **fields,
                }
            )
        )
        self.roster.load([Row(resource=call, state=b"", live=True)])
        return call

    def a_token(self, conference: str, customer: str = ANN, **fields: Any) -> str:
        """What its holder sends."""
        role = fields.get("role", TokenRole.PARTICIPANT)
        token = JoinToken(
            **{
                "id": next(self.ids),
                "customer_id": customer,
                "conference_id": conference,
                "role": role,
                "scopes": list(SCOPES[role]),
                "tm_create": self.stamp(),
                "tm_expire": stamp(self.now + 3600),
                **fields,
            }
        )
        self.tokens[f"TOKEN-{token.id}"] = token
        return f"TOKEN-{token.id}"

    def a_recording(self, content: bytes | None = None, customer: str = ANN) -> Recording:
        made = self.put(
            Recording(
                id=next(self.ids),
                customer_id=customer,
                reference_type="conference",
                reference_id=next(self.ids),
                status=RecordingStatus.ENDED,
                tm_create=self.stamp(),
            )
        )
        if content is not None:
            self.files[made.id] = FakeFile(content)
        return made


class FakeTail:
    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def position(self) -> int:
        return len(self.server.log)

    async def wait(self, customer: str, after: int, timeout_s: float) -> None:  # noqa: ARG002
        self.server.waits.append((after, timeout_s))
        if self.server.on_wait is not None:
            await self.server.on_wait(timeout_s)
        else:
            self.server.seconds += timeout_s


class FakeFiles:
    def __init__(self, server: FakeServer) -> None:
        self.server = server

    async def open(self, recording: str) -> FakeFile | None:
        return self.server.files.get(recording)


class Client:
    """Asks the application over ASGI, one request after the other, with Ann's key unless told otherwise."""

    def __init__(self, server: FakeServer, key: str | None = ANNS_KEY, **deps: Any) -> None:
        self.server = server
        self.app = create_app(server.deps(**deps))
        self.key = key

    def send(self, method: str, path: str, *, key: str | None = "", **options: Any) -> httpx.Response:
        return asyncio.run(self.asend(method, path, key=key, **options))

    async def asend(self, method: str, path: str, *, key: str | None = "", **options: Any) -> httpx.Response:
        headers = dict(options.pop("headers", {}))
        key = self.key if key == "" else key
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://plenary.test") as client:
            return await client.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return self.send("POST", path, json=json, **options) if json is not None else self.send("POST", path, **options)

    def put(self, path: str, json: Any, **options: Any) -> httpx.Response:
        return self.send("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.send("DELETE", path, **options)

    def a_conference(self, **fields: Any) -> dict[str, Any]:
        answer = self.post("/v1.0/conferences", {"type": "conference", **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()


def refused(error: Refusal) -> FakeServer:
    server = FakeServer()
    server.refusal = error
    return server
