"""How late a test is itself. Its phones are in its own process: what it was too late for, because the machine was busy,
is nobody else's gap."""

import asyncio

_WATCH_S = 0.01


class Lateness:
    """Watches the running loop from now until `stop`."""

    def __init__(self) -> None:
        self.most_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._plan()

    def stop(self) -> float:
        """Returns by how many seconds it was too late at most."""
        self._timer.cancel()
        return self.most_s

    def _plan(self) -> None:
        self._timer = self._loop.call_later(_WATCH_S, self._on_time, self._loop.time() + _WATCH_S)

    def _on_time(self, due: float) -> None:
        self.most_s = max(self.most_s, self._loop.time() - due)
        self._plan()
