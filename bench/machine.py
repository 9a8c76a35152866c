"""The machine that all this runs on: its cores, who runs on which, and what processes cost."""

import os
import platform
import resource
import socket
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = {CORES[0]}
GENERATOR_CORE = {CORES[1] if len(CORES) > 1 else CORES[0]}
FILES = 65_536
"""Open files that thousands of legs need: two sockets each, at both ends."""


def settle() -> None:
    """Puts this process, and all that it starts without saying otherwise, on the generator's core."""
    os.sched_setaffinity(0, GENERATOR_CORE)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


def on_server_core() -> None:
    """For `preexec_fn`."""
    os.sched_setaffinity(0, SERVER_CORE)


def on_all_cores() -> None:
    """For who starts more than one thread that is to be measured; also for `preexec_fn`."""
    os.sched_setaffinity(0, CORES)


def described() -> str:
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    name = model.partition(":")[2].strip() or platform.machine()
    return f"{len(CORES)} cores of {name}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def load_of_others() -> float:
    """Runnable processes, averaged over the last minute."""
    return os.getloadavg()[0]


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    # The name of the program may hold anything; what counts comes after its parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
