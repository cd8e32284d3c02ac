"""`aistrale prices`: show, diff, update and back again, with files and a server of our own."""

from __future__ import annotations

import contextlib
import gzip
import json
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from aistrale.cost import price_usage
from aistrale.cost.book.check import written
from aistrale.cost.book.price_book import forget, price_book, shipped_book, stored_path
from aistrale.types import Usage

LATER = "2999-01-01"


@pytest.fixture(autouse=True)
def read_again(nobody):
    """Every test finds the shipped book, and leaves it behind."""
    forget()
    yield
    forget()


@pytest.fixture
def newer(tmp_path):
    """A later book, in which one price moves, a model is new and another one is gone."""
    data = json.loads(written(shipped_book().data))
    data["as_of"] = LATER
    models = {f"{model['provider']}/{model['id']}": model for model in data["models"]}
    models["openai/gpt-4o"]["periods"][-1]["rates"]["input"] = "3"
    data["models"] = [model for model in data["models"] if model["id"] != "tts-1"]
    data["models"].append(
        {"provider": "openai", "id": "gpt-7", "periods": [{"rates": {"input": "1"}, "source": 0, "checked_on": LATER}]}
    )

    def made(change=None):
        if change is not None:
            change(models, data)
        file = tmp_path / "newer.json.gz"
        file.write_bytes(gzip.compress(json.dumps(data).encode()))
        return file

    return made


def test_show_says_what_a_model_costs_and_where_it_was_read(cli):
    result = cli("prices", "show", "gpt-6-sol")
    lines = result.stdout.splitlines()
    assert lines[0] == "openai/gpt-6-sol"
    rows = {line.split("  ")[0]: line.split() for line in lines[2:]}
    assert rows["usual"][1:3] == ["2", "10"]
    assert rows["usual, over 272,000 tokens"][4:6] == ["4", "15"]
    assert rows["batch"][1:3] == ["1", "5"]
    assert "web_search: 10 US dollars per 1,000 searches" in lines
    assert "genai-prices" in result.stderr
    assert price_book().label in result.stderr


def test_show_knows_other_days(cli):
    before, after = (
        cli("prices", "show", "gemini-4-argon", "--at", day).stdout for day in ("2026-11-30", "2026-12-01")
    )
    assert before.splitlines()[2].split()[1:3] == ["2", "10"]
    assert after.splitlines()[2].split()[1:3] == ["4", "20"]
    assert "write 2026-11-27" in cli("prices", "show", "gpt-4o", "--at", "soon").stderr


def test_show_lists_the_backends_of_a_router(cli):
    every = cli("prices", "show", "meta-llama/Llama-3.3-70B-Instruct").stdout
    one = cli("prices", "show", "huggingface/meta-llama/Llama-3.3-70B-Instruct:nebius").stdout
    assert one.splitlines()[0].endswith(":nebius")
    assert one.strip() in every


def test_show_as_a_document(cli):
    shown = json.loads(cli("prices", "show", "anthropic/claude-sonnet-4-5", "--json").stdout)
    assert list(shown) == ["book", "model", "at", "prices"]
    (price,) = shown["prices"]
    assert price["backend"] is None
    assert price["rates"][0]["when"] == "usual"
    assert price["rates"][0]["input"] == "3"
    past, now = [row for row in price["history"] if not row["when"]]
    assert (past["to"], now["from"]) == ("2026-04-29", "2026-04-30")
    assert past["above"][0]["tokens"] == 200_000
    assert now["checked_on"]


def test_show_of_an_unknown_model_is_an_error(cli):
    result = cli("prices", "show", "openai/gpt-99")
    assert result.exit_code == 2
    assert "the price book has no openai/gpt-99" in result.stderr
    assert "prices" in result.stderr.splitlines()[-1]
    assert "Did you mean" in cli("prices", "show", "gpt-5-minni").stderr


def test_an_update_is_stored_shown_and_undone(cli, newer):
    usage = Usage(input=1_000_000)
    assert price_usage("openai", "gpt-4o", usage).usd == 2.5
    assert cli("prices", "diff").exit_code == 2

    result = cli("prices", "update", "--from", newer())
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "openai/gpt-4o: input 2.5 -> 3",
        "openai/gpt-7: new",
        "openai/tts-1: not listed any more",
    ]
    assert str(stored_path()) in result.stderr
    assert [file.name for file in stored_path().parent.glob("*prices*")] == ["prices.json.gz"]
    assert price_book().as_of.isoformat() == LATER
    assert price_usage("openai", "gpt-4o", usage).usd == 3

    assert cli("prices", "diff").stdout == result.stdout
    changes = json.loads(cli("prices", "diff", "--json").stdout)["changes"]
    assert changes[0] == {
        "model": "openai/gpt-4o", "when": "", "unit": "input", "above": None, "before": "2.5", "after": "3", "change": "changed",
    }  # fmt: skip
    assert [change["change"] for change in changes] == ["changed", "added", "removed"]
    assert cli("prices", "update", "--from", newer()).stdout == ""

    assert "removed" in cli("prices", "update", "--undo").stdout
    assert "nothing was stored" in cli("prices", "update", "--undo").stdout
    assert price_usage("openai", "gpt-4o", usage).usd == 2.5
    assert cli("prices", "diff", newer()).stdout == result.stdout


def test_a_large_move_must_be_asked_for(cli, newer):
    def tenfold(models, _data):
        models["openai/gpt-4o"]["periods"][-1]["rates"]["output"] = "100.01"

    file = newer(tenfold)
    result = cli("prices", "update", "--from", file)
    assert result.exit_code == 2
    assert "openai/gpt-4o: output 10 -> 100.01" in result.stderr
    assert "--force" in result.stderr
    assert not stored_path().exists()
    assert cli("prices", "update", "--from", file, "--force").exit_code == 0
    assert stored_path().exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda models, _: models["openai/gpt-4o"]["periods"][0]["rates"].update(input="-1"),
            "rates.input must be a decimal",
        ),
        (
            lambda models, _: models["openai/gpt-4o"]["periods"][0]["rates"].update(input=2.5),
            "rates.input must be a decimal",
        ),
        (
            lambda models, _: models["openai/gpt-4o"]["periods"][0]["rates"].update(input="NaN"),
            "rates.input must be a decimal",
        ),
        (lambda models, _: models["openai/gpt-4o"]["periods"][0]["rates"].update(input="9999999"), "must be a decimal"),
        (
            lambda models, _: models["openai/gpt-4o"]["periods"][0]["rates"].update(guess="1"),
            "no unit that this version",
        ),
        (lambda models, _: models["openai/gpt-4o"]["periods"][0].update({"from": "soon"}), "must be a day"),
        (lambda models, _: models["openai/gpt-4o"].update(aliases=["gpt-4"]), "a second time"),
        (lambda models, _: models["openai/gpt-4o"].update(id="a\x1bb"), "must be a text"),
        (lambda _, data: data.update(format=2), "format is not 1"),
        (lambda _, data: data.update(models="none"), "models must be a list"),
        (lambda _, data: data.update(as_of="2020-01-01"), "older than the one that came"),
    ],
)
def test_what_is_wrong_is_refused(cli, newer, change, said):
    result = cli("prices", "update", "--from", newer(change))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not stored_path().exists()


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x1f\x8b", b"1", b"[1]", b'[{"id": "openai"}]', b"[" * 10_000])
def test_what_is_no_price_data_is_refused(cli, tmp_path, content):
    file = tmp_path / "odd"
    file.write_bytes(content)
    result = cli("prices", "update", "--from", file)
    assert result.exit_code == 2
    assert result.stderr.startswith("error:")
    assert not stored_path().exists()


GENAI = [
    {
        "id": "openai",
        "models": [
            {
                "id": "gpt-4o",
                "match": {"equals": "gpt-4o"},
                "prices": {"input_mtok": 2, "output_mtok": 8, "cache_read_mtok": 1},
            },
            {
                "id": "gpt-7",
                "match": {"starts_with": "gpt-7"},
                "prices": {"input_mtok": {"base": 1.5, "tiers": [{"start": 1000, "price": 3}]}},
            },
        ],
    }
]


def test_the_data_of_genai_prices_is_laid_over_the_book(cli, tmp_path):
    file = tmp_path / "data.json"
    file.write_text(json.dumps(GENAI), encoding="utf-8")
    result = cli("prices", "update", "--from", file)
    assert result.exit_code == 0, result.stderr
    assert "openai/gpt-4o: input 2.5 -> 2" in result.stdout
    assert "openai/gpt-7: new" in result.stdout
    assert price_usage("openai", "gpt-7", Usage(input=1000)).usd == Decimal("0.0015")
    assert price_usage("openai", "gpt-7", Usage(input=1001)).usd == Decimal("0.003003")
    # What it does not mention is as it was.
    assert price_book().rates("anthropic", "claude-opus-4-8", {}) == shipped_book().rates(
        "anthropic", "claude-opus-4-8", {}
    )
    assert len(price_book()) == len(shipped_book()) + 1


@pytest.fixture
def served():
    """A server with one file; gives its address and the requests that came."""
    answers = {"/data.json": (200, json.dumps(GENAI).encode()), "/moved": (302, b""), "/huge": (200, b" " * 17_000_000)}
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body = answers.get(self.path, (404, b"nothing"))
            self.send_response(status)
            if status == 302:
                self.send_header("location", "/data.json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            # Of what is too large the reader does not wait for the end.
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_update_from_an_address(cli, served):
    url, asked = served
    result = cli("prices", "update", "--from", f"{url}/data.json")
    assert result.exit_code == 0, result.stderr
    assert asked == ["/data.json"]
    assert "openai/gpt-7: new" in result.stdout


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/nothing", 2, "HTTP status 404"),
        ("/moved", 2, "Redirects are not followed"),
        ("/huge", 6, "could not be fetched"),
    ],
)
def test_an_address_that_gives_no_file(cli, served, path, code, said):
    url, asked = served
    result = cli("prices", "update", "--from", url + path)
    assert result.exit_code == code
    assert said in result.stderr
    assert asked == [path]


@pytest.mark.parametrize("url", ["http://example.com/data.json", "ftp://example.com/x", "https://", "http://[::1"])
def test_addresses_that_are_not_fetched(cli, url):
    result = cli("prices", "update", "--from", url)
    assert result.exit_code in {2, 6}
    assert result.stderr.startswith("error:")


def test_undo_takes_no_source(cli):
    assert cli("prices", "update", "--undo", "--from", "x").exit_code == 2


def test_a_folder_that_cannot_be_written(cli, newer, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AISTRALE_HOME", str(tmp_path / "file"))
    result = cli("prices", "update", "--from", newer())
    assert result.exit_code == 2
    assert "Set AISTRALE_HOME" in result.stderr


def test_prices_of_the_settings_are_laid_over(cli, monkeypatch, tmp_path):
    assert "+own" not in cli("prices", "show", "gpt-4o").stderr
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "aistrale.toml").write_text('[[prices]]\nmodel = "openai/gpt-4o"\ninput = "1.11"\n', encoding="utf-8")
    result = cli("prices", "show", "gpt-4o")
    if "unknown" in result.stderr:
        pytest.skip("the setting `prices` is not there yet")
    assert result.stdout.splitlines()[2].split()[1] == "1.11"
    assert "+own" in result.stderr


def test_wide_tables_fit_nothing_but_are_whole_in_a_pipe(process):
    run = process("prices", "show", "gemini-2.5-flash")
    assert run.returncode == 0
    assert not any(line.endswith(" ") for line in run.stdout.decode().splitlines())
