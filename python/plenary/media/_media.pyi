"""The compiled media engine."""

__all__ = ["run"]

def run(
    *,
    socket: str,
    rtp_address: str,
    public_address: str,
    rtp_port_first: int,
    rtp_port_last: int,
    webrtc_port: int,
    threads: int,
    orphan_timeout_s: float,
    inactivity_first_s: float,
    inactivity_later_s: float,
) -> None:
    """Runs the engine on the Unix socket `socket` until the server, SIGTERM, SIGINT or the orphan timeout ends it.

    Blocks, with the GIL released, and blocks SIGTERM and SIGINT for the calling thread: meant for the main thread
    of a process of its own. RTP is bound to `rtp_address`, on even ports of `rtp_port_first` to `rtp_port_last`
    (RTCP on the odd ones); `public_address` stands in SDP. Browsers are taken on `webrtc_port`, by UDP and TCP, and
    on the ports above it for all media threads but the first; 0: no browsers.

    Raises ValueError with a sentence for an argument that can't be used on this machine, so that another start would
    not help: no address, or not one of this machine's, no port, no duration. OSError for what else fails.
    """
