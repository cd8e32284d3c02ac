from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aistrale.testing import simulator

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAYS = {
    "async_calls": ["Oslo: This is a simulated answer to: In which country is Oslo?", "Say goodbye."],
    "langchain_agent": ["The tools said: 12; 0", "tool   in_stock       success", "call of session shop-1: success"],
    "langchain_rag": ["Returns are free for thirty days.", "retriever VectorStoreRetriever 2"],
    "llamaindex_agent": ["in_stock {'fruit': 'pears'} -> 0", "The tools said: 12; 0"],
    "llamaindex_query": ["Query: Which warehouse is open at night?", "query      RetrieverQueryEngine.query"],
    "llm_functions": [
        "draft for ada: success, 2 calls",
        "drafts for ada: success, 4 calls",
        "in the ledger: {'draft'}",
    ],
    "embeddings": ["64 numbers each, by openai/text-embedding-3-small"],
    "failover": [
        "attempt 1 at nowhere: error ConnectError",
        "attempt 3 at openai: success",
        "in the ledger: nowhere/some-model error",
        "in the ledger: openai/",
    ],
    "prompt_function": ["positive, about text", "Thank Ada for a positive review, and mention ['text']."],
    "quickstart": ["Name three rivers of Europe.", "answered by openai/", "tokens: 7 in, 15 out", "US dollars: 0.0"],
    "session": ["4 messages are remembered", "2 calls of ada for examples are in the ledger"],
    "streaming": ["Count from one to ten, in words.", "stopped because: stop"],
    "structured_output": ["positive, 1 stars, about text", "the schema was enforced by: schema"],
    "tracing": ["chat gpt-5-mini", "aistrale chat openai/gpt-5-mini", "answer a letter"],
    "webhook_receiver": ["inference.completed: openai/", "US dollars and took 1 attempt"],
    "telemetry": ["✓ openai/", "call.finished", "project demo: $0.0000"],
    "tools": ["the model asks for in_stock {'fruit': 'apples'}", "The tools said: 12; 0"],
}


# Frameworks use what is deprecated in the libraries beneath them.
WARNS = ("langchain", "llamaindex")
NEEDS = re.compile(r"# needs: (.+)")


@pytest.fixture(scope="module")
def sim():
    with simulator() as running:
        yield running


def test_every_example_is_expected_to_say_something():
    assert {script.stem for script in EXAMPLES} == set(SAYS)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_runs_from_the_environment_alone(script, sim, tmp_path):
    needs = NEEDS.match(script.read_text("utf-8"))
    for module in needs[1].split(",") if needs else ():
        pytest.importorskip(module.strip())
    strict = () if script.stem.startswith(WARNS) else ("-W", "error")
    run = subprocess.run(
        [sys.executable, *strict, str(script)],
        env={**os.environ, **sim.environ(), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    missing = [text for text in SAYS[script.stem] if text not in run.stdout]
    assert missing == [], run.stdout


def test_an_example_without_any_key_says_what_to_set(tmp_path):
    run = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "OPENAI_API_KEY" in run.stderr
