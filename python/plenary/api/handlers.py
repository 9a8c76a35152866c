"""What each operation of the table does.

By the time it is asked, the request has been checked and its customer is known.
"""

from collections.abc import Callable

import msgspec

from ..core import events
from ..core.errors import WrongState
from ..core.resources import Call, ConferenceType, Resource
from ..store.views import MAX_EVENTS, MAX_POSITION
from . import answers, decode, download
from .asked import Answer, Asked
from .bodies import CreateCallsBody, CreateConferenceBody, StartRecordingBody, UpdateConferenceBody
from .deps import ApiDeps
from .operation import EVENTS_DEFAULT, WAIT_MAX_S
from .problems import Problem
from .reply import Reply
from .waiting import LongPolls, conference_of, either, listed, page_of


class _Kind(msgspec.Struct, frozen=True):
    type: ConferenceType


_kind = msgspec.json.Decoder(_Kind)
_encoder = msgspec.json.Encoder()


class Handlers:
    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps
        self._views = deps.views
        self._long_polls = LongPolls()

    # --- Conferences ---------------------------------------------------------------------------------------------

    async def create_conference(self, asked: Asked) -> Answer:
        body = asked.body_as(CreateConferenceBody)
        return await self._one(
            lambda ask: events.CreateConference(
                ask=ask,
                customer=asked.customer,
                type=body.type,
                name=body.name,
                detail=body.detail,
                data=body.data,
                timeout=body.timeout,
                pre_actions=[action.action() for action in body.pre_actions],
                post_actions=[action.action() for action in body.post_actions],
                settings=body.settings,
            )
        )

    async def list_conferences(self, asked: Asked) -> Answer:
        return listed(await self._views.conferences(asked.customer, page_of(asked.query)))

    async def get_conference(self, asked: Asked) -> Answer:
        return await self._views.conference(asked.customer, asked.id)

    async def update_conference(self, asked: Asked) -> Answer:
        body = asked.body_as(UpdateConferenceBody)
        await self._check_read_only(asked, body)
        return await self._one(
            lambda ask: events.UpdateConference(
                ask=ask,
                customer=asked.customer,
                conference=asked.id,
                name=body.name,
                detail=body.detail,
                data=body.data,
                timeout=body.timeout,
                pre_actions=[action.action() for action in body.pre_actions],
                post_actions=[action.action() for action in body.post_actions],
                settings=body.settings,
            )
        )

    async def _check_read_only(self, asked: Asked, body: UpdateConferenceBody) -> None:
        """What never changes can't be sent with another value. What changes by itself is out of date, at worst."""
        if body.id is not msgspec.UNSET and body.id != asked.id:
            raise Problem("read_only_field", "'id' is not the id in the path.", pointer="/id")
        if body.customer_id is not msgspec.UNSET and body.customer_id != asked.customer:
            raise Problem("read_only_field", "'customer_id' is not the conference's.", pointer="/customer_id")
        if body.type is not msgspec.UNSET:
            row = await self._views.conference(asked.customer, asked.id)
            if body.type is not _kind.decode(row).type:
                raise Problem("read_only_field", "The type of a conference can't change.", pointer="/type")

    async def delete_conference(self, asked: Asked) -> Answer:
        return await self._one(
            lambda ask: events.DeleteConference(ask=ask, customer=asked.customer, conference=asked.id)
        )

    async def start_conference_recording(self, asked: Asked) -> Answer:
        body = asked.body_as(StartRecordingBody)
        return await self._one(
            lambda ask: events.StartConferenceRecording(
                ask=ask,
                customer=asked.customer,
                conference=asked.id,
                format=body.format,
                duration=body.duration,
                end_of_silence=body.end_of_silence,
            )
        )

    async def stop_conference_recording(self, asked: Asked) -> Answer:
        return await self._one(
            lambda ask: events.StopConferenceRecording(ask=ask, customer=asked.customer, conference=asked.id)
        )

    # --- Participants --------------------------------------------------------------------------------------------

    async def list_conferencecalls(self, asked: Asked) -> Answer:
        page = page_of(asked.query)
        return listed(await self._views.conferencecalls(asked.customer, page, conference_of(asked.query)))

    async def get_conferencecall(self, asked: Asked) -> Answer:
        return await self._views.conferencecall(asked.customer, asked.id)

    async def kick_conferencecall(self, asked: Asked) -> Answer:
        return await self._one(
            lambda ask: events.KickConferencecall(ask=ask, customer=asked.customer, conferencecall=asked.id)
        )

    # --- Recordings ----------------------------------------------------------------------------------------------

    async def list_recordings(self, asked: Asked) -> Answer:
        return listed(await self._views.recordings(asked.customer, page_of(asked.query)))

    async def get_recording(self, asked: Asked) -> Answer:
        return await self._views.recording(asked.customer, asked.id)

    async def delete_recording(self, asked: Asked) -> Answer:
        return await self._one(lambda ask: events.DeleteRecording(ask=ask, customer=asked.customer, recording=asked.id))

    async def download_recording(self, asked: Asked) -> Answer:
        await self._views.recording(asked.customer, asked.id)
        file = await self._deps.recordings.open(asked.id)
        if file is None:
            raise Problem(
                "recording_has_no_file",
                f"The recording {asked.id} has no sound yet, or its files were removed.",
            )
        return await download.answer(asked.id, file, asked.headers)

    # --- Calls ---------------------------------------------------------------------------------------------------

    async def create_calls(self, asked: Asked) -> Answer:
        body = asked.body_as(CreateCallsBody)
        result = await self._deps.ask(
            lambda ask: events.CreateCalls(
                ask=ask,
                customer=asked.customer,
                source=body.source.address(),
                destinations=[destination.address() for destination in body.destinations],
                actions=[action.action() for action in body.actions],
            )
        )
        calls = result if isinstance(result, list) else [result]
        return answers.CreatedCalls(calls=[call for call in calls if isinstance(call, Call)])

    async def list_calls(self, asked: Asked) -> Answer:
        return listed(await self._views.calls(asked.customer, page_of(asked.query)))

    async def get_call(self, asked: Asked) -> Answer:
        return await self._views.call(asked.customer, asked.id)

    async def get_call_statistics(self, asked: Asked) -> Answer:
        await self._views.call(asked.customer, asked.id)
        statistics = self._deps.statistics(asked.id)
        if statistics is None:
            raise WrongState("call_without_media", "The call has no media, or has only just got them.")
        return msgspec.structs.replace(statistics, level_dbfs=round(statistics.level_dbfs, 1))

    async def hang_up_call(self, asked: Asked) -> Answer:
        return await self._one(lambda ask: events.HangUpCall(ask=ask, customer=asked.customer, call=asked.id))

    async def delete_call(self, asked: Asked) -> Answer:
        return await self.hang_up_call(asked)

    # --- Events --------------------------------------------------------------------------------------------------

    async def list_events(self, asked: Asked) -> Answer:
        query = asked.query
        after = decode.integer(query, "after", 0, 0, MAX_POSITION)
        limit = decode.integer(query, "limit", EVENTS_DEFAULT, 1, MAX_EVENTS)
        wait_s = decode.integer(query, "wait_s", 0, 0, WAIT_MAX_S)
        conference = conference_of(query)
        rows = await self._views.events(asked.customer, after, limit, conference)
        if not rows and wait_s:
            with self._long_polls.one_more(asked.customer):
                rows = await self._wait(asked, after, limit, conference, wait_s)
        return logged(rows, after)

    async def _wait(
        self, asked: Asked, after: int, limit: int, conference: str | None, wait_s: float
    ) -> list[tuple[int, bytes]]:
        """The log's end is looked at before each read, so that nothing is written unseen between read and wait."""
        log, clock = self._deps.log, self._deps.clock
        deadline = clock() + wait_s
        while True:
            seen = log.position()
            rows = await self._views.events(asked.customer, after, limit, conference)
            left_s = deadline - clock()
            if rows or left_s <= 0:
                return rows
            if await either(log.wait(asked.customer, seen, left_s), asked.disconnected()) or log.position() <= seen:
                return []

    # --- Server --------------------------------------------------------------------------------------------------

    async def ping(self, asked: Asked) -> Answer:  # noqa: ARG002
        return answers.Pong()

    async def healthz(self, asked: Asked) -> Answer:  # noqa: ARG002
        return answers.Health(version=self._deps.version)

    async def readyz(self, asked: Asked) -> Answer:  # noqa: ARG002
        reasons = self._deps.ready()
        body = _encoder.encode(answers.Readiness(ready=not reasons, reasons=reasons, sip=self._deps.sip))
        return Reply(body, status=503 if reasons else 200)

    async def _one(self, build: Callable[[int], events.Request]) -> Resource:
        """Asks for what is answered with one resource."""
        result = await self._deps.ask(build)
        assert not isinstance(result, list)
        return result


def logged(rows: list[tuple[int, bytes]], after: int) -> bytes:
    """An entry with its position in front, as `operations.LoggedEvent` has it."""
    entries = b",".join(b'{"position":%d,%b' % (position, entry[1:]) for position, entry in rows)
    return b'{"result":[%b],"next_position":%d}' % (entries, rows[-1][0] if rows else after)
