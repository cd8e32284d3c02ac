"""`import aistrale` loads nothing but itself and the standard library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOADED_BY_IMPORT = """
import json, sys
before = set(sys.modules)
import aistrale
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def third_party(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"aistrale"}


def test_import_loads_no_third_party_module():
    modules = json.loads(run("-c", LOADED_BY_IMPORT))
    assert "aistrale" in modules
    assert third_party(modules) == set()


def test_import_works_where_no_third_party_module_is_installed():
    # -S: without the site-packages, so that a module which the first test takes for granted is missing here.
    source = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import aistrale; print(aistrale.__version__)"
    assert run("-S", "-E", "-c", source).strip()


def test_import_starts_no_thread_and_opens_no_socket():
    source = "import threading, sys, aistrale; print(threading.active_count(), 'socket' in sys.modules)"
    assert run("-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {source}").split() == [
        "1",
        "False",
    ]


def test_third_party_modules_are_told_from_others():
    assert third_party(["json.decoder", "aistrale.types", "_socket", "httpx._client", "numpy"]) == {
        "httpx",
        "numpy",
    }
