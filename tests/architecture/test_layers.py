"""The table of ARCHITECTURE.md, as a test: who may import whom, and who may look at a clock."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "plenary"

CORE = {"core"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "sip": CORE,
    "media": CORE,
    "speech": CORE,
    "store": CORE,
    "recordings": CORE,
    "web": CORE,
    "api": {"core", "store"},
    "testing": {"sip", "media"},
}
"""A package may import itself and these. `core` imports nobody; edges never import each other.

`testing` is what users' tests are made of: it stands on the signalling and on the fake engine, not on the server.
"""

VOCABULARY = {"ids", "errors", "resources", "events", "commands", "changes", "limits", "wording", "catalogue"}
"""What the edges may know of `core`: its words, never its machines."""

WIRING = {
    *("__main__", "cli", "config", "doors", "keys", "logs", "metrics", "node", "patience", "running", "server"),
    "version",
}
"""Modules at the top: they put the packages together, and no package imports them."""

PURE = [
    *sorted((PACKAGE / "core").rglob("*.py")),
    *sorted(path for path in (PACKAGE / "sip").glob("*.py") if path.name != "adapter.py"),
    PACKAGE / "media" / "messages.py",
    *sorted((PACKAGE / "web").rglob("*.py")),
    PACKAGE / "node.py",
]
IMPURE_MODULES = {
    "asyncio",
    "socket",
    "time",
    "threading",
    "subprocess",
    "logging",
    "structlog",
    "os",
    "select",
}


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every module that `path` imports as an absolute dotted name, with the names taken from it."""
    package = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, []
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield ".".join([*base, *([node.module] if node.module else [])]), [alias.name for alias in node.names]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_its_row_of_the_table_allows(package: str):
    wrong: list[str] = []
    for path in sorted((PACKAGE / package).rglob("*.py")):
        for module, names in imports(path):
            if not module.startswith("plenary"):
                continue
            parts = module.split(".")[1:] or names
            other = parts[0]
            if other == package or (
                other in MAY_IMPORT[package] and (other != "core" or vocabulary_only(parts, names))
            ):
                continue
            if other == "core" and "core" in MAY_IMPORT[package]:
                wrong.append(f"{path.relative_to(ROOT)} reaches into the machines of core: {module} {names}")
            else:
                wrong.append(f"{path.relative_to(ROOT)} imports {module} {names}")
    assert wrong == []


def vocabulary_only(parts: list[str], names: list[str]) -> bool:
    return parts[1] in VOCABULARY if len(parts) > 1 else set(names) <= VOCABULARY


def test_every_module_at_the_top_is_wiring():
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} <= WIRING


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_chance_comes_from_a_seed_that_was_handed_in(path: Path):
    """`random.Random(seed)` and nothing else of `random`."""
    uses = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
    }
    assert uses <= {"Random"}


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_decides_has_no_clock_no_socket_and_no_thread(path: Path):
    """Time is an argument: `now` comes in with each call."""
    assert {module for module, _ in imports(path) if module.split(".")[0] in IMPURE_MODULES} == set()


def test_the_core_stands_on_the_standard_library_and_msgspec():
    imported = {module.split(".")[0] for path in (PACKAGE / "core").rglob("*.py") for module, _ in imports(path)}
    assert imported - sys.stdlib_module_names - {"plenary", "msgspec"} == set()


@pytest.mark.parametrize("folder", ["rust/media/src"])
def test_the_media_core_has_no_clock_no_socket_no_thread_and_no_file(folder: str):
    banned = ["std::net::UdpSocket", "std::thread", "std::fs", "Instant::now", "SystemTime", "std::sync::Mutex"]
    found = [
        f"{path.name}: {word}" for path in (ROOT / folder).rglob("*.rs") for word in banned if word in path.read_text()
    ]
    assert found == []


def test_no_source_file_is_longer_than_one_can_hold_in_mind():
    """600 lines: what is longer has a second subject in it."""
    sources = [*PACKAGE.rglob("*.py"), *(ROOT / "rust").rglob("*.rs"), *(ROOT / "tests").rglob("*.py")]
    assert [str(p.relative_to(ROOT)) for p in sources if len(p.read_text().splitlines()) > 600] == []


def test_lock_files_carry_hashes_and_no_addresses():
    text = (ROOT / "requirements.txt").read_text()
    assert "http://" not in text
    assert "https://" not in text
    pinned = [line for line in text.splitlines() if "==" in line]
    assert pinned
    assert all(line.endswith("\\") for line in pinned)
