from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aistrale.testing import Broken, Fault, Say
from aistrale.types import Choice, Completion, Message, RefusalPart, Usage

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Bergen"]}, "people": {"type": "integer"}},
    "required": ["city", "people"],
}
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def prompt_of(sim):
    return sim.last.request.messages[-1].text


def test_the_answer_is_the_whole_output(cli, sim):
    result = cli("run", "Hi")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "This is a simulated answer to: Hi\n", "")


def test_in_a_process_of_its_own(process, sim):
    run = process("run", "Hi")
    assert (run.returncode, run.stdout, run.stderr) == (0, b"This is a simulated answer to: Hi\n", b"")


@pytest.mark.parametrize(
    ("arguments", "stdin", "asked"),
    [
        (["Sum up."], b"one\ntwo\n", "Sum up.\n\none\ntwo\n"),
        (["Sum up."], b"", "Sum up."),
        (["Sum up."], b" \n", "Sum up."),
        ([], b"From the pipe", "From the pipe"),
        (["-"], b"From the pipe", "From the pipe"),
        ([], "\ufeffGrüße".encode(), "Grüße"),
    ],
)
def test_what_is_piped_in_belongs_to_the_prompt(cli, sim, arguments, stdin, asked):
    assert cli("run", *arguments, stdin=stdin).exit_code == 0
    assert prompt_of(sim) == asked


def test_a_closed_stdin_is_an_empty_one(environment, sim):
    command = ["/bin/sh", "-c", '"$0" -m aistrale run Hi <&-', sys.executable]
    run = subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "stdin", "word"),
    [
        (["run"], b"", "prompt is empty"),
        (["run"], b"\xff\xfe\x00", "UTF-8"),
        (["run", "Hi", "--reasoning", "lots"], b"", "medium"),
        (["run", "Hi", "--max-tokens", "0"], b"", "--max-tokens"),
        (["run", "Hi", "--deadline", "0"], b"", "--deadline"),
        (["run", "Hi", "--schema", "nowhere.json"], b"", "cannot be read"),
        (["run", "Hi", "--schema", "{"], b"", "no JSON"),
        (["run", "Hi", "--model", "gpt-55-mini"], b"", "not in the catalog"),
        (["run", "Hi", "--provider", "opnai"], b"", "openai"),
        (["run", "Hi", "--route", "chat"], b"", "chat"),
        (["run", "Hi", "--route", "chat", "--model", "openai/gpt-5-mini"], b"", "route excludes model"),
        (["run", "Hi", "--temperature", "3"], b"", "temperature"),
        (["run", "Hi", "--image", "nowhere.png"], b"", "nowhere.png cannot be read"),
        (["run", "Hi", "--file", "nowhere.txt"], b"", "nowhere.txt cannot be read"),
        (["run", "Hi", "--imagee", "x"], b"", "--imagee"),
        (["rnu"], b"", "rnu"),
        (["_app"], b"", "_app"),
    ],
)
def test_wrong_usage_is_named_and_nothing_is_sent(cli, sim, arguments, stdin, word):
    result = cli(*arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr
    assert sim.requests == []


def test_a_schema_must_be_an_object(cli, sim, tmp_path):
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    result = cli("run", "Hi", "--schema", tmp_path / "list.json")
    assert result.exit_code == 2
    assert "must be an object" in result.stderr


def test_options_reach_the_request(cli, sim):
    arguments = ["-m", "groq/openai/gpt-oss-20b", "-s", "Be brief.", "--max-tokens", "50", "--temperature", "0.5"]
    assert cli("run", "Hi", *arguments, "--reasoning", "low", "--deadline", "9").exit_code == 0
    request = sim.last.request
    assert (sim.last.provider, request.model, request.messages[0].text) == ("groq", "openai/gpt-oss-20b", "Be brief.")
    assert (request.max_tokens, request.temperature, request.reasoning.effort) == (50, 0.5, "low")


def test_reasoning_can_be_a_number_of_tokens(cli, sim):
    assert cli("run", "Hi", "-m", "anthropic/claude-haiku-4-5", "--reasoning", "2048").exit_code == 0
    assert sim.last.request.reasoning.budget == 2048


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "groq", "huggingface"])
def test_every_provider_answers(cli, sim, provider):
    result = cli("run", "Hi", "--provider", provider, "--json")
    assert json.loads(result.stdout)["provider"] == provider


# --- files and images -------------------------------------------------------------------------------------------------


def test_images_and_documents_go_before_the_words(cli, sim, tmp_path):
    (tmp_path / "dot.png").write_bytes(PIXEL)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4 nothing")
    arguments = ["-i", tmp_path / "dot.png", "-i", "https://example.org/cat.jpg", "-f", tmp_path / "paper.pdf"]
    assert cli("run", "What is this?", "-m", "anthropic/claude-haiku-4-5", *arguments).exit_code == 0
    parts = sim.last.request.messages[-1].parts
    assert [getattr(part, "media", "text") for part in parts] == ["document", "image", "image", "text"]
    assert base64.b64decode(parts[1].data) == PIXEL
    assert parts[2].url == "https://example.org/cat.jpg"
    assert parts[3].text == "What is this?"


def test_a_text_file_goes_as_text_whatever_its_name(cli, sim, tmp_path):
    (tmp_path / "main.rs").write_text("fn main() {}", encoding="utf-8")
    assert cli("run", "Explain.", "-f", tmp_path / "main.rs").exit_code == 0
    assert prompt_of(sim) == "main.rs:\nfn main() {}\nExplain."


def test_a_file_of_unknown_bytes_is_refused(cli, sim, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"\0\1\2\xff")
    result = cli("run", "Explain.", "-f", tmp_path / "data.bin")
    assert result.exit_code == 2
    assert "data.bin" in result.stderr


# --- what is printed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", ["--stream", "--no-stream"])
def test_json_is_one_document(cli, sim, streamed):
    result = cli("run", "Hi", "--json", streamed, "-m", "openai/gpt-5-mini")
    document = json.loads(result.stdout)
    assert list(document) == [
        "text", "output", "model", "provider", "usage", "cost", "attempts", "finish_reason", "tool_calls", "call_id",
        "lossy",
    ]  # fmt: skip
    assert document["text"] == "This is a simulated answer to: Hi"
    assert document["finish_reason"] == "stop"
    assert document["usage"]["input_total"] == sim.last.answer.usage.input
    assert document["usage"]["output_total"] == sim.last.answer.usage.output
    assert document["cost"]["reason"] is None
    assert float(document["cost"]["usd"]) > 0
    assert [(item["outcome"], item["status"]) for item in document["attempts"]] == [("success", 200)]
    assert sim.last.request.stream is (streamed == "--stream")
    assert result.stderr == ""


def test_an_unknown_price_is_null_with_its_reason(cli, sim):
    cost = json.loads(cli("run", "Hi", "--json", "-m", "openai/gpt-99").stdout)["cost"]
    assert cost["usd"] is None
    assert "gpt-99" in cost["reason"]


@pytest.mark.parametrize("streamed", ["--stream", "--no-stream"])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_schema_gives_the_validated_document(cli, sim, tmp_path, streamed, as_file):
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(SCHEMA), encoding="utf-8")
    result = cli("run", "A city", "--schema", path if as_file else json.dumps(SCHEMA), streamed)
    assert json.loads(result.stdout) == {"city": "Oslo", "people": 1}


def test_a_schema_stands_in_json_as_output(cli, sim):
    document = json.loads(cli("run", "A city", "--json", "--schema", json.dumps(SCHEMA)).stdout)
    assert document["output"] == {"city": "Oslo", "people": 1}


def test_an_answer_that_does_not_fit_the_schema_is_an_error(cli, sim):
    sim.outage(step=Say(text='{"city": 3}'))
    result = cli("run", "A city", "--schema", json.dumps(SCHEMA))
    assert (result.exit_code, result.stdout) == (6, "")
    assert "output.people: missing" in result.stderr


def test_a_refusal_is_shown(cli, sim):
    refusal = Completion(
        "id",
        "gpt-5-mini",
        [Choice(Message("assistant", [RefusalPart("I will not.")]), "stop")],
        Usage(input=1, output=1),
    )
    sim.outage(step=Say(completion=refusal))
    for streamed in ("--stream", "--no-stream"):
        assert cli("run", "Hi", "-m", "openai/gpt-5-mini", streamed).stdout == "I will not.\n"


@pytest.mark.parametrize(("text", "printed"), [("a\nb\n", "a\nb\n"), ("a\x1b[31mb", "a\x1b[31mb\n"), ("\ud800", "?\n")])
@pytest.mark.parametrize("streamed", ["--stream", "--no-stream"])
def test_a_pipe_gets_the_text_as_it_is(process, sim, text, printed, streamed):
    sim.outage(step=Say(text=text))
    assert process("run", "Hi", streamed).stdout.decode() == printed


def test_json_says_whatever_text_there_is(process, sim):
    text = "\ud800 \x9b31m \x1b[31m \u2028 ü"
    sim.outage(step=Say(text=text))
    run = process("run", "Hi", "--json")
    assert json.loads(run.stdout)["text"] == text
    assert b"\x1b" not in run.stdout
    assert "\x9b" not in run.stdout.decode()


def test_verbose_says_on_stderr_what_it_took(cli, sim):
    result = cli("run", "Hi", "-v", "-m", "openai/gpt-5-mini")
    assert result.stdout == "This is a simulated answer to: Hi\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("openai/gpt-5-mini: tokens 1 in, 9 out, $0.00")
    assert "1 attempt," in line


def test_verbose_lists_the_attempts_of_a_failover(cli, sim):
    with Path("aistrale.toml").open("a", encoding="utf-8") as file:
        file.write('[routes]\nchat = ["groq/openai/gpt-oss-20b", "openai/gpt-5-mini"]\n')
    sim.outage("groq")
    lines = cli("run", "Hi", "-v", "--route", "chat").stderr.splitlines()
    assert lines[0].startswith("attempt 1: groq/openai/gpt-oss-20b error 503 OverloadedError ")
    assert lines[1].startswith("attempt 2: openai/gpt-5-mini success 200 ")
    assert "2 attempts" in lines[2]


def test_verbose_shows_the_attempts_of_a_failed_call(cli, sim):
    sim.outage(step=Fault(status=500))
    result = cli("run", "Hi", "-v", "-m", "openai/gpt-5-mini")
    attempt, error = result.stderr.splitlines()[:2]
    assert attempt.startswith("attempt 1: openai/gpt-5-mini error 500 ServerError ")
    assert error.startswith("error: ")


def test_a_cut_off_answer_is_said_to_be_one(cli, sim):
    result = cli("run", "Tell me everything there is.", "--max-tokens", "3", "-m", "groq/openai/gpt-oss-20b")
    assert result.exit_code == 0
    assert "cut off" in result.stderr


def test_what_was_dropped_is_said(cli, sim, monkeypatch):
    monkeypatch.setenv("AISTRALE_ON_UNSUPPORTED", "drop")
    result = cli("run", "Hi", "-m", "openai/gpt-5-mini", "--temperature", "1.5")
    assert result.exit_code == 0
    assert "note: temperature was dropped: " in result.stderr


def test_an_interrupted_stream_keeps_what_came(cli, sim):
    sim.outage(step=Broken(wreck="close_early", after=4))
    result = cli("run", "Hi there, you", "--stream")
    assert result.exit_code == 6
    assert result.stdout.startswith("This is")
    assert result.stdout.endswith("\n")
    assert result.stderr.startswith("error: ")


def test_the_call_stands_in_the_ledger(cli, sim):
    call_id = json.loads(cli("run", "Hi", "--json").stdout)["call_id"]
    rows = json.loads(cli("cost", "--by", "name", "--json").stdout)["rows"]
    assert [(row["key"], row["calls"]) for row in rows] == [("aistrale run", 1)]
    assert len(call_id) == 32


def test_without_a_key_the_error_says_what_to_do(cli, nobody):
    result = cli("run", "Hi")
    assert result.exit_code == 2
    error, hint = result.stderr.splitlines()
    assert error == "error: no model is chosen and no provider has a key"
    assert "OPENAI_API_KEY" in hint
    assert "aistrale demo" in hint
