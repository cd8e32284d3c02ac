"""What modules may import and where they may wait, read from the source.

import-linter checks the direction of imports inside the package (`nox -s layers`); this checks the outer walls: who
may know an event loop, an HTTP library or a vendor's SDK.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[1] / "aistrale"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


class Wall(NamedTuple):
    """Names that only some places may use; `inside` are files, or folders that end in a slash."""

    names: frozenset[str]
    inside: tuple[str, ...]
    reason: str


TRANSPORT = ("core/http.py", "core/network.py", "core/network_async.py", "core/transport.py")
ENGINE = ("core/runtime.py", *TRANSPORT)
WALLS = [
    Wall(
        frozenset({"asyncio", "anyio", "trio"}),
        # The faces toward other programs run in the event loop of those programs; the simulator is a server.
        (*ENGINE, "cli/", "dropin/", "integrations/", "server/", "testing/"),
        "policies and codecs are written once for blocking, async and simulated execution",
    ),
    Wall(
        frozenset({"time.sleep"}),
        (*ENGINE, "cli/", "testing/"),
        "waiting goes through call.runtime.sleep, so that deadlines and virtual time hold",
    ),
    Wall(
        frozenset({"httpx", "httpx2", "httpcore", "httpcore2"}),
        # The drop-in transports are instances of the HTTP library's own classes.
        (*TRANSPORT, "dropin/"),
        "one place knows the HTTP library",
    ),
    Wall(
        frozenset(
            {
                "openai",
                "anthropic",
                "google.genai",
                "groq",
                "huggingface_hub",
                "langchain_core",
                "llama_index",
            }
        ),
        ("dropin/", "integrations/", "testing/"),
        "the wire formats are ours: no vendor's SDK is needed",
    ),
]
STDLIB_ONLY = ("types.py", "errors.py")


class Use(NamedTuple):
    """A name from outside that a module uses at run time."""

    name: str
    line: int


def uses(source: str) -> Iterator[Use]:
    """Every imported module, and every `time.sleep`, except what only type checkers read."""
    tree = ast.parse(source)
    clocks = {"time"}
    for node in _run_time_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Use(alias.name, node.lineno)
                if alias.name == "time":
                    clocks.add(alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield Use(node.module, node.lineno)
            for alias in node.names:
                yield Use(f"{node.module}.{alias.name}", node.lineno)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield Use(name, node.lineno)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr == "sleep"
            and isinstance(node.value, ast.Name)
            and node.value.id in clocks
        ):
            yield Use("time.sleep", node.lineno)


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes in the order of the source, without the bodies of `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for branch in node.orelse:
                yield branch
                yield from _run_time_nodes(branch)
            continue
        yield node
        yield from _run_time_nodes(node)


def _imported_by_call(node: ast.Call) -> str | None:
    """The module that `import_module("x")` or `__import__("x")` loads."""
    function = ast.unparse(node.func).rpartition(".")[2]
    first = node.args[0] if node.args else None
    if function in {"import_module", "__import__"} and isinstance(first, ast.Constant):
        return str(first.value)
    return None


def breaches(source: str, module: str) -> list[str]:
    """What `module`, a path inside the package, uses and must not."""
    return [
        f"aistrale/{module}:{use.line} uses {use.name}: {wall.reason}"
        for use in uses(source)
        for wall in WALLS
        if not any(module == place or (place.endswith("/") and module.startswith(place)) for place in wall.inside)
        if any(use.name == name or use.name.startswith(f"{name}.") for name in wall.names)
    ]


@pytest.mark.parametrize("module", MODULES)
def test_module_keeps_the_walls(module):
    assert breaches((PACKAGE / module).read_text("utf-8"), module) == []


@pytest.mark.parametrize("module", STDLIB_ONLY)
def test_vocabulary_needs_only_the_standard_library(module):
    own = {"aistrale", "aistrale.types", "aistrale.errors"}
    for use in uses((PACKAGE / module).read_text("utf-8")):
        top = use.name.partition(".")[0]
        if top == "aistrale":
            assert use.name.rpartition(".")[0] in own or use.name in own, use
        else:
            assert top in sys.stdlib_module_names, use


@pytest.mark.parametrize(
    ("source", "module", "found"),
    [
        ("import asyncio", "policies/retry.py", "asyncio"),
        ("import asyncio.events as e", "policies/retry.py", "asyncio"),
        ("from anyio.abc import TaskGroup", "client.py", "anyio"),
        ("def f():\n    import trio", "default.py", "trio"),
        ("try:\n    import httpx2\nexcept ImportError:\n    import httpx", "providers/openai.py", "httpx"),
        ("from httpcore import ConnectionPool", "core/call.py", "httpcore"),
        ("import importlib\nimportlib.import_module('httpx')", "core/call.py", "httpx"),
        ("from google import genai", "providers/gemini.py", "google.genai"),
        ("import openai", "core/http.py", "openai"),
        ("import time\ntime.sleep(1)", "policies/retry.py", "time.sleep"),
        ("import time as clock\nwait = clock.sleep", "policies/retry.py", "time.sleep"),
        ("from time import sleep", "core/call.py", "time.sleep"),
        ("import time\ntime.sleep(1)", "dropin/patch.py", "time.sleep"),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import httpx", "core/call.py", "httpx"),
    ],
)
def test_breach_is_found(source, module, found):
    (report, *_) = breaches(source, module)
    assert f"uses {found}" in report


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import asyncio\nimport time\ntime.sleep(1)", "core/runtime.py"),
        ("import httpx2", "core/http.py"),
        ("import asyncio", "testing/simulator.py"),
        ("if TYPE_CHECKING:\n    import httpx\n    import asyncio", "core/call.py"),
        ("import time\ntime.monotonic()", "policies/retry.py"),
        ("await call.runtime.sleep(1)", "policies/retry.py"),
        ("import openai_compatible", "providers/catalog.py"),
        ("from google.protobuf import message", "providers/gemini.py"),
    ],
)
def test_permitted_use_is_not_reported(source, module):
    assert breaches(source, module) == []
