"""A phone that is scripted message by message, and an endpoint facing it."""

import itertools

import msgspec
from link import SECRET

from plenary.sip.config import Datagram, EndpointConfig, Listener
from plenary.sip.endpoint import Endpoint
from plenary.sip.events import Answered, Invited
from plenary.sip.message import Message, Request, Response
from plenary.sip.parser import parse

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
OTHER_SDP = SDP.replace("o=- 1 1", "o=- 1 2")
PHONE = ("192.0.2.7", 5060)


class Bench:
    """An endpoint at 10.0.0.2:5060 and a clock. `received` and what `at` returns is what the endpoint sent."""

    def __init__(self, *, listeners: tuple[Listener, ...] = (Listener("10.0.0.2"),), **settings) -> None:
        numbers = itertools.count(1)
        self._ids = lambda: f"id{next(numbers)}"
        self.config = EndpointConfig(listeners=listeners, **settings)
        self.endpoint = Endpoint(self.config, self._ids, SECRET)
        self.now = 0.0
        self.events: list = []
        self.saved: dict[str, bytes] = {}
        self.destinations: list[tuple[str, int]] = []
        self.left_by: list[tuple[str, int]] = []
        self._branches = itertools.count(1)

    # The endpoint

    def take(
        self, data: str | bytes | Message, source: tuple[str, int] = PHONE, local: tuple[str, int] | None = None
    ) -> list[Message]:
        """Gives a datagram to the endpoint, by its first listener or that of `local`; returns the messages that it
        sends at once."""
        if isinstance(data, Message):
            data = data.encode()
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self.endpoint.receive(data, source, self.now, local)
        return self.drain()

    def throw(self, data: bytes, source: tuple[str, int] = PHONE) -> list[int]:
        """Gives a datagram to the endpoint; returns the statuses of what it sends back."""
        self.endpoint.receive(data, source, self.now)
        return [int(datagram.data.split(b" ", 2)[1]) for datagram in self.collect()]

    def drain(self) -> list[Message]:
        """What the endpoint sends."""
        return [self.parsed(datagram) for datagram in self.collect()]

    @staticmethod
    def parsed(datagram: Datagram) -> Message:
        """What is in a datagram of the endpoint."""
        return parse(datagram.data)

    def collect(self) -> list[Datagram]:
        """Everything that the endpoint has to say, by its rule of use."""
        self.events += self.endpoint.events()
        for handle, data in self.endpoint.changed().items():
            if data is None:
                self.saved.pop(handle, None)
            else:
                self.saved[handle] = data
        datagrams = self.endpoint.datagrams()
        self.destinations = [datagram.destination for datagram in datagrams]
        self.left_by = [datagram.local for datagram in datagrams]
        assert {*self.left_by} <= {listener.address for listener in self.config.listeners}
        return datagrams

    def until(self, when: float) -> list[tuple[float, Message]]:
        """Lets time pass; returns what the endpoint sends by itself, with its times."""
        sent: list[tuple[float, Message]] = []
        while (at := self.endpoint.timeout()) is not None and at <= when:
            self.now = at
            self.endpoint.fire(at)
            sent += [(round(at, 3), message) for message in self.drain()]
        self.now = when
        return sent

    def do(self, verb: str, *args) -> list[Message]:
        """Calls a verb; returns what the endpoint sends at once."""
        getattr(self.endpoint, verb)(*args, self.now)
        return self.drain()

    def restart(self, **changes) -> list[Message]:
        """Puts a new endpoint, restored from what was saved, in place of this one."""
        self.config = msgspec.structs.replace(self.config, **changes)
        self.endpoint = Endpoint(self.config, self._ids, SECRET)
        self.homeless = self.endpoint.restore(self.saved.items(), self.now)
        return self.drain()

    def told(self, kind: type):
        """The one event of this kind."""
        (event,) = [event for event in self.events if isinstance(event, kind)]
        return event

    @property
    def story(self) -> list[str]:
        """The names of the events so far."""
        return [type(event).__name__ for event in self.events]

    # The phone

    def request(
        self,
        method: str,
        *,
        uri: str = "sip:room@10.0.0.2",
        to: str = "<sip:room@10.0.0.2>",
        from_: str = "<sip:ann@example.com>;tag=a1",
        call_id: str = "call-1",
        cseq: int = 1,
        branch: str | None = None,
        via: str = "192.0.2.7:5060",
        contact: str | None = "<sip:ann@192.0.2.7:5060>",
        body: str = "",
        content_type: str = "application/sdp",
        headers: tuple[str, ...] = (),
    ) -> str:
        """The text of a request."""
        branch = branch or f"z9hG4bKp{next(self._branches)}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {via};branch={branch}",
            "Max-Forwards: 70",
            f"From: {from_}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            *([f"Contact: {contact}"] if contact else []),
            *([f"Content-Type: {content_type}"] if body else []),
            *headers,
            f"Content-Length: {len(body.encode('utf-8', 'surrogateescape'))}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def invite(self, **how) -> str:
        """An INVITE with an offer."""
        how.setdefault("body", SDP)
        return self.request("INVITE", **how)

    def within(self, method: str, response: Message, cseq: int, **how) -> str:
        """A request in the dialog that this 2xx (or 18x) of the endpoint has made."""
        how.setdefault("to", response.get("to"))
        how.setdefault("uri", str(response.contacts[0].uri) if response.contacts else "sip:room@10.0.0.2")
        return self.request(method, cseq=cseq, **how)

    def incoming(self) -> str:
        """The handle of a call that the phone has begun."""
        self.take(self.invite())
        return self.told(Invited).call

    def established(self, local: tuple[str, int] | None = None, **how) -> tuple[str, Response]:
        """The handle of a call that the phone has made and that was answered, and the 200."""
        self.take(self.invite(**how), local=local)
        call = self.told(Invited).call
        (ok,) = self.do("answer", call, SDP)
        self.take(self.within("ACK", ok, 1), local=local)
        return call, ok

    def reply(self, request: Request, status: int, *, tag: str | None = "b1", body: str = "", **how) -> Response:
        """A response of the phone to a request of the endpoint."""
        contact = how.pop("contact", "<sip:bob@192.0.2.7:5060>" if status < 300 else None)
        return request.response(
            status,
            to_tag=tag,
            contact=contact,
            content_type="application/sdp" if body else None,
            body=body.encode(),
            **how,
        )

    def outgoing(self, sdp: str | None = SDP, target: str = "sip:bob@192.0.2.7", call: str = "c1") -> Request:
        """The INVITE of a call that the endpoint makes."""
        self.endpoint.invite(call, target, sdp, "Room", self.now)
        (invite,) = self.drain()
        return invite

    def outgoing_established(self) -> tuple[str, Request]:
        """The handle of a call that the endpoint made and the phone answered, and its ACK."""
        invite = self.outgoing()
        (ack,) = self.take(self.reply(invite, 200, body=SDP))
        assert isinstance(self.events[-1], Answered)
        return "c1", ack


def shown(messages: list[Message]) -> list[str]:
    """Methods and statuses."""
    return [
        message.method if isinstance(message, Request) else f"{message.status} {message.cseq.method}"
        for message in messages
    ]


def timed(sent: list[tuple[float, Message]]) -> list[tuple[float, str]]:
    """The same with times."""
    return [(at, shown([message])[0]) for at, message in sent]
