"""A server that is killed in the middle of its commits has lost nothing that it had acknowledged."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from plenary.core.resources import Conference
from plenary.store.store import EnginePosition, Store

SERVER = """
import sys
import msgspec
from plenary.core.changes import Changes, Row
from plenary.store.store import EnginePosition, Store
from tests.store.samples import conference, entry

store = Store.open(sys.argv[1])
room = conference(store.ensure_customer("ann"))
for n in range(1, 1_000_000):
    room = msgspec.structs.replace(room, timeout=n)
    log = [entry(room.customer_id, conference_id=room.id, number=n, data=room)]
    changes = Changes(rows=[Row(resource=room, state=b"%d" % n, live=True)], log=log)
    print(store.commit(changes, {"call": b"%d" % n}, EnginePosition("e", n)), flush=True)
"""


@pytest.mark.parametrize("kill_after", [1, 40, 150])
def test_what_was_acknowledged_before_a_kill_is_there_and_whole(tmp_path: Path, kill_after: int):
    """Rows, log, dialogs and the engine's position are all of the same turn."""
    root = Path(__file__).parents[2]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert server.stdout is not None
    acknowledged = 0
    for line in server.stdout:
        acknowledged = int(line)
        if acknowledged >= kill_after:
            break
    server.send_signal(signal.SIGKILL)
    acknowledged = max([acknowledged, *(int(line) for line in server.stdout if line.endswith("\n"))])
    server.wait(10)

    store = Store.open(tmp_path)
    saved = store.load()
    last = store.last_position
    assert last >= acknowledged
    [row] = saved.rows
    assert isinstance(row.resource, Conference)
    assert row.resource.timeout == last
    assert row.state == b"%d" % last
    assert saved.dialogs == [("call", b"%d" % last)]
    assert saved.engine == EnginePosition("e", last)
    assert saved.numbers == {row.resource.id: last}
    events = store.views.events(row.resource.customer_id)
    assert [position for position, _ in events] == list(range(1, last + 1))[:1000]
    assert msgspec.json.decode(events[-1][1])["number"] == events[-1][0]
    store.close()
