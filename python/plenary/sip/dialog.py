"""A dialog: what both sides keep of each other from one request to the next (RFC 3261 section 12)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from plenary.sip.config import DEFAULT_PORT, Address, Flow, Listener
from plenary.sip.header import NameAddr, Via
from plenary.sip.message import HeaderValue, Message, Request, Response
from plenary.sip.uri import SipUri, Uri, is_host

MAX_ROUTES: Final = 64
"""Proxies on a dialog's way; Max-Forwards starts at 70, so no more could be passed anyway."""


class Dialog:
    """One dialog, or what is to become one: our INVITE is a request of a dialog without remote tag.

    `local` and `remote` are the values of From and To, tags included, as they are sent in our requests. `target` is
    the remote target. `listener` is where our end is: requests leave by it. `source` is set when the peer sits behind
    a NAT with no proxy between: then its Contact leads nowhere, and requests go to where it sends from (see
    `note_source`). `remote_cseq` is None until a request came.
    """

    __slots__ = (
        "call_id", "listener", "local", "local_cseq", "local_tag", "remote", "remote_cseq", "remote_tag", "route_set",
        "source", "target",
    )  # fmt: skip

    def __init__(self, call_id: str, local: str, local_tag: str, remote: str, target: Uri, listener: Listener) -> None:
        self.listener = listener
        self.call_id = call_id
        self.local = local
        self.local_tag = local_tag
        self.local_cseq = 0
        self.remote = remote
        self.remote_tag: str | None = None
        self.remote_cseq: int | None = None
        self.route_set: tuple[str, ...] = ()
        self.target = target
        self.source: Address | None = None

    @staticmethod
    def of_request(request: Request, local_tag: str, source: Address, listener: Listener) -> Dialog:
        """The dialog that our response to an INVITE creates (section 12.1.1).

        An INVITE of an RFC 2543 peer may lack the Contact; then From is the target.
        """
        target = request.contacts[0].uri if request.contacts else request.from_.uri
        local = f"{request.get('to')};tag={local_tag}"
        dialog = Dialog(request.call_id, local, local_tag, request.get("from") or "", target, listener)
        dialog.remote_tag = request.from_.tag
        dialog.remote_cseq = request.cseq.number
        dialog.route_set = tuple(request.values("record-route")[:MAX_ROUTES])
        dialog.note_source(request, source)
        return dialog

    def establish(self, response: Response) -> None:
        """Takes the peer's side from its 2xx to our INVITE (section 12.1.2, 13.2.2.4)."""
        self.remote = response.get("to") or self.remote
        self.remote_tag = response.to.tag
        self.route_set = tuple(reversed(response.values("record-route")[:MAX_ROUTES]))
        self.refresh_target(response)

    def fork(self, response: Response) -> Dialog:
        """Another dialog that the same INVITE of ours created, at another phone."""
        other = Dialog(self.call_id, self.local, self.local_tag, self.remote, self.target, self.listener)
        other.local_cseq = self.local_cseq
        other.establish(response)
        return other

    def refresh_target(self, message: Message) -> None:
        """Takes the remote target from a target refresh request or the 2xx to one (section 12.2)."""
        if message.contacts and isinstance(message.contacts[0].uri, SipUri):
            self.target = message.contacts[0].uri

    def note_source(self, request: Request, source: Address) -> None:
        """Sees from a request of the peer whether it sits behind a NAT: one hop away, with sent-by and Contact that
        name the same address, which is not the one that the datagram came from."""
        if not request.contacts:
            return
        uri = request.contacts[0].uri
        via = request.top_via
        behind_nat = (
            len(request.vias) == 1
            and not self.route_set
            and isinstance(uri, SipUri)
            and uri.host == via.host
            and _is_address(via.host)
            and via.host != source[0]
        )
        self.source = source if behind_nat else None

    def is_in_order(self, request: Request) -> bool:
        """Whether a request is newer than all before, and if so takes note of it (section 12.2.2)."""
        if self.remote_cseq is not None and request.cseq.number <= self.remote_cseq:
            return False
        self.remote_cseq = request.cseq.number
        return True

    def request(
        self,
        method: str,
        via: Via,
        *,
        cseq: int | None = None,
        contact: str | None = None,
        headers: Iterable[tuple[str, HeaderValue]] = (),
        body: str | None = None,
        content_type: str = "application/sdp",
    ) -> tuple[Request, Flow]:
        """Builds a request within the dialog, and which way it goes (section 12.2.1.1).

        `cseq` is that of the INVITE for its ACK; without it the next number is taken.
        """
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        uri: Uri = self.target.without_headers() if isinstance(self.target, SipUri) else self.target
        routes, hop = list(self.route_set), uri
        if routes:
            first = NameAddr.parse(routes[0]).uri
            hop = first
            if not (isinstance(first, SipUri) and first.has_param("lr")):  # a strict router of RFC 2543
                routes = [*routes[1:], f"<{uri}>"]
                uri = first.without_headers() if isinstance(first, SipUri) else first
        request = Request.build(
            method,
            uri,
            via=via,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=cseq,
            routes=routes,
            contact=contact,
            headers=headers,
            content_type=None if body is None else content_type,
            body=b"" if body is None else body.encode(),
        )
        return request, Flow(self.listener.address, self.source or next_hop(hop))


def next_hop(uri: Uri) -> Address:
    """Where a request for this URI is sent over UDP (RFC 3261 section 8.1.2, 18.1.1; RFC 3263 without DNS).

    The host may be a name, for the adapter to resolve. A URI of another scheme, or whose host can be none, leads
    nowhere: the host is "".
    """
    if not isinstance(uri, SipUri):
        return "", DEFAULT_PORT
    host = uri.param("maddr") or uri.host
    if not is_host(host):
        return "", DEFAULT_PORT
    return "127.0.0.1" if host.lower() == "localhost" else host, uri.port or DEFAULT_PORT


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
