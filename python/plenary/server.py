"""The server: sockets, threads and the clock around `Node`.

One loop: take what came in, let the node decide, commit, then perform. A turn begins only when the one before it is on
disk; what comes in meanwhile waits in the inbox and is dealt with as one batch.
"""

import asyncio
import contextlib
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog

from .api.roster import Roster
from .config import Config
from .core import commands, events
from .core.errors import Refusal, Unavailable
from .core.resources import Resource
from .core.switch import Switch, SwitchSettings
from .media.client import EngineConnection, EngineLink, LegSettings, Position
from .media.errors import MediaError
from .media.messages import CommandFailed, EngineStats, LegClosed, LegStats, Stats
from .media.process import EngineProcess, EngineSettings
from .node import Arrived, Input, Node, PromptMade, Turn, Unreachable
from .recordings.files import RecordingFiles
from .sip.adapter import SipSockets
from .sip.config import Address, EndpointConfig, Listener
from .sip.endpoint import Endpoint as Signalling
from .speech.cache import SoundCache
from .speech.errors import PromptError
from .speech.espeak import EspeakNg
from .speech.fetch import Fetcher
from .speech.prompts import Prompts
from .speech.sound import RATE
from .store.errors import StoreError
from .store.store import EnginePosition, Store
from .version import VERSION
from .web.door import Answer, WebDoor, web_calls

log = structlog.get_logger("plenary")
T = TypeVar("T")

INBOX_MAX = 20_000
"""Inputs that wait for a turn; datagrams beyond that are dropped, and SIP repeats them."""
BATCH_MAX = 500
"""Inputs of one turn: keeps a turn, and with it every answer, short while a storm is worked off."""
ASKS_MAX = 1_000
"""Requests of the API that wait at once for a turn and its commit; one more is told at once to come again."""
ASK_S = 15.0
"""How long a request of the API waits for its turn before it is told to come again."""
COMMIT_RETRY_S = 0.5
"""Pause before a commit that failed (disk full) is tried again. Nothing leaves the server meanwhile."""
FAREWELL_S = 5.0
"""How long calls and recordings have to end when the server does."""
READERS = 4
"""Threads that read for the API."""
STATISTICS_S = 2.0
"""How often the engine is asked for its figures."""
CONFIRMED_S = 1.0
"""How long phones have to confirm that they were hung up: one that has vanished never will."""
FAREWELL_POLL_S = 0.02
PRUNE_PAUSE_S = 0.05
"""Between two bites, so that calls can be written too."""
UNANSWERED_MAX = 5
"""Questions for its figures that an engine may leave open: with ten seconds of silence it hangs."""
PRUNE_S = 3600.0
"""How often old entries of the event log, and what is long over, are forgotten."""


class Clock:
    """Seconds since the epoch that never go back: the wall clock once, the monotonic clock from then on."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()


class Server:
    """Everything that runs between `start()` and `stop()`."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        limits = SwitchSettings(
            noise_suppression=config.noise_suppression,
            normaliser=config.normaliser,
            voice_activity=config.voice_activity,
            recording_rate=config.recording_rate,
        )
        self.switch = Switch(_new_id, limits)
        self._calls_max = limits.calls_max
        self.files = RecordingFiles(config.data / "recordings")
        self.sounds = SoundCache(config.data / "speech")
        self.prompts = Prompts(EspeakNg(), Fetcher(allow_private=config.fetch_private), self.sounds)
        self.engine = EngineProcess(
            config.data,
            _engine_settings(config),
            VERSION,
            on_change=self._engine_changed,
            on_error=self._engine_trouble,
        )
        self.statistics: dict[str, LegStats] = {}
        """What the engine last said of each call."""
        self.engine_statistics: EngineStats | None = None
        self.roster = Roster(secrets.token_hex(4))
        self.join_key = self._secret("join-key")
        """What join tokens are signed with."""
        self.last_position = 0
        """Position of the last entry of the log that is on disk."""
        self._clock = Clock()
        self._inbox: list[Input] = []
        self._wake = asyncio.Event()
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._question_due = False
        """The engine is to be asked for its figures with the next turn."""
        self._unanswered = 0
        """Questions for statistics that have left, and that the engine has not answered."""
        self._asks: dict[int, asyncio.Future[Any]] = {}
        self._next_ask = 0
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._pollers: dict[str, set[asyncio.Future[None]]] = {}
        """Who waits for entries of the log, by customer: nobody is woken by what is none of his business."""
        self._logged: dict[str, int] = {}
        """Position of each customer's last entry, as far as this server has written it."""
        self._stopping = False
        self._engine_ended_at = 0.0
        """Since when there is no engine, while there is none after the first."""
        self._store_trouble: str | None = None
        self._unwritten = False
        """The server ended while a turn could not be written."""
        self._tasks: list[asyncio.Task[None]] = []

    # --- Life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Goes on where the last server left off. Raises CannotListen, or StoreError with a clear sentence."""
        config, saved, now = self.config, self.store.load(), self._clock.now()
        acked = Position(saved.engine.engine, saved.engine.acked) if saved.engine else Position("", 0)
        self.switch.load(saved.rows, saved.numbers)
        await self.read(self._remove_leftovers)
        self.roster.load(saved.rows)
        if self.switch.live_calls:
            log.warning("the calls of the server before this one are taken up", calls=self.switch.live_calls)
        wanted = [Listener(one.at.literal, one.at.port, one.public_host) for one in config.sip]
        self.sip = await SipSockets.listen(wanted, self._datagram, self._unreachable)
        self.endpoint = Signalling(
            _endpoint_config(config, self.sip.listeners, self._calls_max), _new_id, self._secret("secret")
        )
        for where, calls in self.endpoint.restore(saved.dialogs, now).items():
            log.warning(
                "calls that came in where --sip listens no more; they go on by its first address",
                calls=calls,
                came_in_at=where,
                go_on_by=self.sip.listeners[0].address,
            )
        made_with = {
            listener.address: LegSettings(srtp=one.srtp, codecs=config.codecs)
            for listener, one in zip(self.sip.listeners, config.sip, strict=True)
        }
        self.link = EngineLink(
            recording_path=lambda recording, part: str(self.files.part(recording, part)),
            position=acked,
            settings_of=lambda call: made_with[self.endpoint.local_of(call, self.switch.target_of(call))],
        )
        self.last_position = self.store.last_position
        door = WebDoor(web_calls(saved.rows))
        self.node = Node(self.switch, self.endpoint, self.link, door, self.store.find, self.files.duration_ms)
        self.connection = EngineConnection(self.engine.socket, self.link, self._wake.set, self._engine_trouble)
        self._tasks = [
            asyncio.create_task(self._run(), name="turns"),
            asyncio.create_task(self.engine.run(), name="engine process"),
            asyncio.create_task(self._stay_connected(), name="engine connection"),
            asyncio.create_task(self._every(STATISTICS_S, self._ask_statistics), name="statistics"),
            asyncio.create_task(self._every(PRUNE_S, self._prune), name="prune"),
        ]

    async def failed(self) -> None:
        """Returns never, unless something that the server can't live without ends: raises what it ended with."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
        raise AssertionError(f"{done} came to an end")

    async def stop(self) -> None:
        """Hangs up every call, closes recordings, ends the engine. Conferences are there again at the next start.

        Raises StoreError, after all of that, if the disk has not taken the last turn: then calls were not hung up, and
        the next server finds what the one before it has written.

        After a bug there is no farewell, and the engine lives on (see `docs/decisions/bugs-end-the-server.md`).
        """
        if self._is_broken():
            await self._end_tasks()
            return
        self._put(events.ServerStopping())
        await asyncio.sleep(FAREWELL_POLL_S)
        await self._until(
            lambda: not (self._store_trouble or self.switch.live_calls or self.switch.live_recordings), FAREWELL_S
        )
        await self._until(lambda: not self.endpoint.calls, CONFIRMED_S)
        await self._end_tasks()
        await self.engine.stop()
        if self._unwritten:
            raise StoreError(
                f"The server has ended without writing the last that happened. {self._store_trouble} "
                "Calls that were up are looked for at the next start."
            )

    def _is_broken(self) -> bool:
        """Whether a task has ended, and not because there is no keeping an engine alive."""
        return any(task.done() and not isinstance(task.exception(), MediaError) for task in self._tasks)

    async def _end_tasks(self) -> None:
        turns, *others = self._tasks
        self._stopping = True
        self._wake.set()
        await asyncio.gather(turns, return_exceptions=True)
        for customer in list(self._pollers):
            self._wake_pollers(customer)
        self.roster.close()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.prompts.close()

    async def _until(self, true: Callable[[], bool], most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                while not true():
                    await asyncio.sleep(FAREWELL_POLL_S)

    async def close(self) -> None:
        """Lets go of sockets, threads and files; after `stop`, and after the API has answered its last request."""
        self.sip.close()
        self._writer.shutdown()
        self._readers.shutdown()
        self.store.close()

    @property
    def inbox_length(self) -> int:
        """Inputs that wait for their turn."""
        return len(self._inbox)

    def statistics_of(self, call: str) -> LegStats | None:
        """What the engine last said of the call's media, at most `STATISTICS_S` old."""
        return self.statistics.get(call)

    def trouble(self) -> list[str]:
        """Why the server can't take calls now, a sentence each; empty if it can."""
        found: list[str] = []
        if not (self.link.ready and self.switch.engine_ready):  # welcomed, and told what it has to know
            found.append("The media engine is not connected.")
        if self._store_trouble:
            found.append(self._store_trouble)
        if self._stopping:
            found.append("The server is ending.")
        return found

    # --- What the API asks -----------------------------------------------------------------------------------------

    async def ask(self, request: Callable[[int], events.Request]) -> Resource | list[Resource]:
        """Has the switch decide on a request; returns once that is on disk. Raises Refusal."""
        return await self._asked(request)

    async def exchange(self, offer: Callable[[int], events.JoinConference | events.RestartSession]) -> Answer:
        """Has an offer of a page answered. Raises Refusal."""
        return await self._asked(offer)

    async def _asked(self, request: Callable[[int], events.Request]) -> Any:
        if self._stopping:
            raise Unavailable("server_ending", "The server is ending; ask again in a moment.")
        if len(self._asks) >= ASKS_MAX or len(self._inbox) >= INBOX_MAX:
            raise Unavailable("server_busy", "Too much waits to be done; ask again in a moment.")
        self._next_ask += 1
        ask = self._next_ask
        future = self._asks[ask] = asyncio.get_running_loop().create_future()
        self._put(request(ask))
        try:
            async with asyncio.timeout(ASK_S):
                return await future
        except TimeoutError:
            raise Unavailable(
                "server_busy", "The server did not get to it in time; look before you ask again."
            ) from None
        finally:
            self._asks.pop(ask, None)

    async def write(self, change: Callable[..., None], *args: object) -> None:
        """Has the store write something that is no turn's. Raises StoreError."""
        await asyncio.get_running_loop().run_in_executor(self._writer, partial(change, *args))

    def now(self) -> float:
        """Seconds since the epoch, never going back."""
        return self._clock.now()

    async def read(self, question: Callable[..., T], *args: object, **kwargs: object) -> T:
        """Runs a reading function in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, partial(question, *args, **kwargs))

    async def wait_for_events(self, customer: str, after: int, timeout_s: float) -> None:
        """Returns when the customer's log has grown past position `after`, or after `timeout_s`."""
        if self._stopping or self._logged.get(customer, 0) > after:
            return
        waiting = self._pollers.setdefault(customer, set())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.add(future)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await future
        finally:
            waiting.discard(future)

    def _wake_pollers(self, customer: str) -> None:
        for future in self._pollers.pop(customer, set()):
            if not future.done():
                future.set_result(None)

    # --- The loop --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stopping:
            due = self.node.timeout()
            wait_s = None if due is None else max(0.0, due - self._clock.now())
            if not self._inbox and (wait_s is None or wait_s > 0):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
            self._wake.clear()
            batch, self._inbox = self._inbox[:BATCH_MAX], self._inbox[BATCH_MAX:]
            if self._inbox:
                self._wake.set()
            turn = self.node.turn(filter(self._is_wanted, batch), self._clock.now())
            self._take_reports()
            for one in self.endpoint.refused_invites(self._clock.now()):
                log.info("refused a call", status=one.status, source=one.source, called=one.called, caller=one.caller)
            if turn.record and not await self._commit(turn):
                self._unwritten = True
                return
            self._tell_of_recovery()
            self._perform(turn)

    def _is_wanted(self, one: Input) -> bool:
        """Not if who asked for it was told that the server did not get to it."""
        return not isinstance(one, events.Request) or one.ask in self._asks

    def _take_reports(self) -> None:
        for report in self.link.reports():
            match report:
                case Stats():
                    self._unanswered = 0
                    self.statistics = {leg.leg: leg for leg in report.legs}
                    self.engine_statistics = report.engine
                case CommandFailed():
                    log.warning("the media engine could not do a command", command=report.command, reason=report.reason)
                case LegClosed():
                    self.statistics.pop(report.leg, None)

    async def _commit(self, turn: Turn) -> bool:
        """Writes a turn, again and again if the disk refuses: nothing may be told that is not written.

        False if it was not written and the server has no time left to wait for that.
        """
        record = turn.record
        position = record.position and EnginePosition(record.position.engine, record.position.seq)
        loop = asyncio.get_running_loop()
        while True:
            try:
                last = await loop.run_in_executor(
                    self._writer, self.store.commit, record.changes, record.dialogs, position
                )
            except StoreError as error:
                if self._store_trouble is None:
                    log.error("nothing can be written; waiting", reason=str(error))
                self._store_trouble = str(error)
                if self._stopping:
                    return False
                await asyncio.sleep(COMMIT_RETRY_S)
                continue
            self._store_trouble = None
            break
        if record.position is not None and record.position.engine == self.link.position.engine:
            self.link.acknowledge(record.position.seq)
        if last > self.last_position:
            self.last_position = last
            for customer in {entry.customer_id for entry in record.changes.log}:
                self._logged[customer] = last
                self._wake_pollers(customer)
        self.roster.apply(record.changes.rows)
        return True

    def _perform(self, turn: Turn) -> None:
        self.sip.send(turn.datagrams)
        if self._question_due:
            self._question_due = False
            self._unanswered = self._unanswered + 1 if self.link.ready else 0
            self.link.ask_stats("statistics")
        self.connection.flush()
        for reply in turn.replies:
            self._answer(reply.ask, reply.result)
        for answer in turn.answers:
            self._answer(answer.ask, answer)
        for wanted in turn.prepare:
            task = asyncio.create_task(self._prepare(wanted), name="prompt")
            self._preparing[wanted.request] = task
        for request in turn.drop:
            if task := self._preparing.pop(request, None):
                task.cancel()
        for recording in turn.remove:
            self._writer.submit(self._remove_files, recording)

    def _answer(self, ask: int, result: Resource | list[Resource] | Answer | Refusal) -> None:
        future = self._asks.get(ask)
        if future is None or future.done():
            return  # he who asked has gone
        if isinstance(result, Refusal):
            future.set_exception(result)
        else:
            future.set_result(result)

    async def _prepare(self, wanted: commands.PreparePrompt) -> None:
        try:
            prompt = await self.prompts.prepare(
                text=wanted.text, url=wanted.url, gender=wanted.gender, language=wanted.language
            )
        except PromptError as error:
            self._put(events.PromptFailed(request=wanted.request, reason=str(error)))
        except Exception:
            log.exception("a prompt could not be made", request=wanted.request)
            self._put(events.PromptFailed(request=wanted.request, reason="Internal error; the server's log has more."))
        else:
            self._put(PromptMade(wanted.request, prompt.name, prompt.pcm, RATE, prompt.duration_ms))
        finally:
            self._preparing.pop(wanted.request, None)

    # --- What comes in ---------------------------------------------------------------------------------------------

    def _put(self, one: Input) -> None:
        self._inbox.append(one)
        self._wake.set()

    def _datagram(self, data: bytes, source: Address, local: Address) -> None:
        if len(self._inbox) < INBOX_MAX:
            self._put(Arrived(data, source, local))

    def _unreachable(self, destination: Address, reason: str) -> None:
        self._put(Unreachable(destination, reason))

    def _engine_changed(self) -> None:
        """An engine was found or started, or has ended."""
        self._wake.set()
        engine, now = self.engine, self._clock.now()
        if engine.pid is None:
            self._engine_ended_at = self._engine_ended_at or now
            log.error("the media engine has ended", how=engine.ended, calls=self.switch.live_calls)
            return
        if self._engine_ended_at:
            without_s = round(now - self._engine_ended_at, 3)
            log.warning("the media engine was started again", pid=engine.pid, after_s=without_s)
        elif engine.started and self.switch.live_calls:
            log.warning("the media engine of the server before this one is gone; another was started", pid=engine.pid)
        elif not engine.started:
            log.info("the media engine of the server before this one goes on", pid=engine.pid)
        self._engine_ended_at = 0.0
        for sentence in engine.differences:
            log.warning("media engine", reason=sentence)

    def _tell_of_recovery(self) -> None:
        if (done := self.switch.recovered()) is not None:
            tell = log.error if done.lost else log.warning
            sentence = "calls that had lost their media with the engine were brought back"
            tell(sentence, brought_back=done.back, lost=done.lost, after_s=round(done.seconds, 3))

    async def _stay_connected(self) -> None:
        await self.engine.found.wait()
        await self.connection.run()

    def _engine_trouble(self, error: Exception) -> None:
        log.error("media engine", reason=str(error))

    # --- Now and then ----------------------------------------------------------------------------------------------

    async def _every(self, period_s: float, what: Callable[[], Awaitable[None]]) -> None:
        while True:
            await asyncio.sleep(period_s)
            await what()

    async def _ask_statistics(self) -> None:
        """Also the engine's heartbeat: one that answers no more is worse than none.

        The question leaves with the next turn, because what the link holds now may belong to one that is not on disk.
        Only then is it counted: while a commit waits for the disk, nothing leaves and no answer is read, and the
        engine is not to blame.
        """
        if self._question_due:
            return
        if self.link.ready and self._unanswered >= UNANSWERED_MAX:
            log.error(
                "the media engine does not answer; it is ended and started again",
                seconds=STATISTICS_S * self._unanswered,
            )
            self._unanswered = 0
            self.engine.kill()
        self._question_due = True
        self._wake.set()

    async def _prune(self) -> None:
        keep_s = self.config.event_days * 86400.0
        loop = asyncio.get_running_loop()
        try:
            while await loop.run_in_executor(self._writer, self.store.prune, self._clock.now(), keep_s):
                await asyncio.sleep(PRUNE_PAUSE_S)
            while await loop.run_in_executor(self._writer, self.store.prune_rows, self._clock.now(), keep_s):
                await asyncio.sleep(PRUNE_PAUSE_S)
            while await loop.run_in_executor(self._writer, self.store.prune_join_tokens, self._clock.now(), keep_s):
                await asyncio.sleep(PRUNE_PAUSE_S)
        except StoreError as error:
            log.error("what is long over could not be forgotten", reason=str(error))

    def _remove_leftovers(self) -> None:
        """Files of recordings that were deleted while the last server died, before it had come to that; and folders
        that it made for what was never begun. Sound that the database knows nothing about is left to its owner: the
        database may be an older copy that was put back."""
        known = self.store.recordings()
        for recording in self.files.ids():
            if known.get(recording, self.files.is_empty(recording)):
                log.info("files of a deleted recording are removed", recording=recording)
                self._remove_files(recording)
            elif recording not in known:
                log.warning("files of a recording that the database does not know", recording=recording)

    def _remove_files(self, recording: str) -> None:
        try:
            self.files.remove(recording)
        except OSError as error:
            log.error("files of a deleted recording are still there", recording=recording, reason=str(error))

    def _secret(self, name: str) -> bytes:
        """What something is signed with: kept, so that it outlives a restart. `secret` signs digest nonces."""
        path = self.config.data / name
        if not path.exists():
            part = path.with_suffix(".part")
            part.touch(mode=0o600)
            part.write_bytes(secrets.token_bytes(32))
            part.replace(path)
        return path.read_bytes()


def _new_id() -> str:
    return str(uuid.uuid4())


def _endpoint_config(config: Config, listeners: tuple[Listener, ...], max_calls: int) -> EndpointConfig:
    return EndpointConfig(
        listeners=listeners,
        realm=config.sip_realm,
        users=config.sip_users,
        algorithms=config.sip_digest,
        anonymous=config.sip_anonymous,
        outgoing=config.sip_trunk,
        server_name=f"Plenary/{VERSION}",
        max_calls=max_calls,
    )


def _engine_settings(config: Config) -> EngineSettings:
    return EngineSettings(
        rtp_address=config.rtp_address,
        public_address=config.public_address,
        rtp_ports=(config.rtp_ports.first, config.rtp_ports.last),
        threads=config.threads,
        orphan_timeout_s=config.orphan_timeout_s,
        webrtc_port=config.webrtc_port,
    )
