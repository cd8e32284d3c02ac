"""The documentation is true: its Python blocks and the examples run, and its links lead somewhere.

Blocks marked `python` in README.md and docs/ are executed, those of one file in one namespace, with `await` allowed at
the top level. The line `<!-- skip: reason -->` before a block leaves it out, which is reported; so does
`<!-- needs: module, ... -->` where a module is not installed, and `# needs: module, ...` as the first line of an example.
"""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import os
import re
import traceback
import types
from pathlib import Path
from typing import NamedTuple

import pytest

import aistrale
from aistrale.testing import simulator
from tests.dropin.asking import ask_no_registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
BLOCK = re.compile(
    r"^(?:<!-- (?:skip: (?P<reason>[^\n]+?)|needs: (?P<needs>[^\n]+?)) -->\n)?(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
NEEDS = re.compile(r"# needs: (?P<needs>[^\n]+)")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A Python block of a page."""

    code: str
    line: int
    skip: str | None


def blocks(text: str) -> list[Block]:
    return [
        Block(
            inspect.cleandoc("\n" + match["code"]) if match["indent"] else match["code"],
            text.count("\n", 0, match.start("code")),
            match["reason"] or missing(match["needs"] or ""),
        )
        for match in BLOCK.finditer(text)
    ]


def missing(modules: str) -> str | None:
    """Why a block cannot run that needs some modules, separated by commas; None if it can."""
    for name in filter(None, re.split(r", *", modules)):
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            # The package around it.
            found = None
        if found is None:
            return f"{name} is not installed"
    return None


def execute(code: str, namespace: dict[str, object], page: Path, line: int) -> None:
    # Shifted, so that tracebacks and warnings name the line of the page.
    compiled = compile("\n" * line + code, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    function = types.FunctionType(compiled, namespace)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(function())
    else:
        function()


@pytest.fixture
def simulated(monkeypatch, tmp_path):
    """All providers answer on loopback, by the environment alone; a working directory and a client of its own."""
    monkeypatch.chdir(tmp_path)
    ask_no_registry(tmp_path, monkeypatch)
    # Synchronous code of some libraries asks for the loop of the thread, and would make one that nobody closes.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    before = dict(os.environ)
    with simulator(environ=True):
        yield
        aistrale.shutdown()
    # What a page sets is not for the next test.
    os.environ.clear()
    os.environ.update(before)
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run(page, simulated):
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        if not block.skip:
            execute(block.code, namespace, page, block.line)
    # A function of the page holds the page's names and they hold it: cleared, what they keep ends here and now, not in
    # the middle of another test.
    namespace.clear()


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (f"{page.relative_to(ROOT).as_posix()}:{block.line + 1}", block.skip)
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if block.skip
    ],
)
def test_skipped_block_is_reported(place, reason):
    pytest.skip(f"{place}: {reason}")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.relative_to(ROOT).as_posix())
def test_example_runs(script, simulated):
    namespace: dict[str, object] = {"__name__": "__main__", "__file__": str(script)}
    text = script.read_text("utf-8")
    if (needs := NEEDS.match(text)) and (reason := missing(needs["needs"])):
        pytest.skip(reason)
    execute(text, namespace, script, 0)
    namespace.clear()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    targets = [match["target"].partition("#")[0] for match in LINK.finditer(page.read_text("utf-8"))]
    inside = [target for target in targets if target and "://" not in target and not target.startswith("mailto:")]
    assert [target for target in inside if not (page.parent / target).exists()] == []


SAMPLE = """# A page

```python
first = 1
```

<!-- skip: needs a key -->
```python
raise SystemExit
```

<!-- needs: json, no.such.module -->
```python
import no
```

- in a list

  ```python
  if first:
      second = first + 1
  ```

```sh
not python
```
"""


def test_blocks_are_found_with_their_lines_and_reasons():
    found = blocks(SAMPLE)
    assert [block.skip for block in found] == [None, "needs a key", "no.such.module is not installed", None]
    assert [SAMPLE.splitlines()[block.line].strip() for block in found] == [
        "first = 1",
        "raise SystemExit",
        "import no",
        "if first:",
    ]
    namespace: dict[str, object] = {}
    for block in (found[0], found[3]):
        execute(block.code, namespace, Path("page.md"), block.line)
    assert namespace["second"] == 2


def test_failing_block_names_the_page_and_the_line():
    with pytest.raises(ZeroDivisionError) as caught:
        execute("1 / 0\n", {}, Path("page.md"), 41)
    innermost = traceback.extract_tb(caught.tb)[-1]
    assert (innermost.filename, innermost.lineno) == ("page.md", 42)


def test_block_may_await():
    namespace: dict[str, object] = {}
    execute("import asyncio\nawait asyncio.sleep(0)\ndone = True\n", namespace, Path("page.md"), 0)
    assert namespace["done"] is True
