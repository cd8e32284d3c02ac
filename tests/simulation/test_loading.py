"""Scenario files: what they mean, and that every mistake is named by its field."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from aistrale.errors import ConfigurationError
from aistrale.simulation import NAMES, load, parse
from aistrale.simulation.distributions import Constant, Empirical, Exponential, Lognormal
from aistrale.simulation.scenario import Outage, Quota, Surge

SCENARIOS = sorted((Path(__file__).resolve().parents[2] / "examples" / "scenarios").glob("*.toml"))

FULL = """
title = "everything"
duration = 100
seed = 3
bucket = 2.5
compare = ["none", "mine"]

[clients]
count = 7
rate = 2
[[clients.surges]]
start = 1
end = 2
factor = 3.5

[calls]
deadline = 9
first_token = 3
connect = 1.5
between_tokens = "none"
stream = true
input_tokens = 11
output_tokens = 12

[[targets]]
name = "here/model"
latency = { kind = "lognormal", median = 1, p99 = 4 }
first_token = { kind = "exponential", mean = 0.5 }
servers = 8
queue = 9
full_status = 529
cancels = true
refusal = 0
pieces = 4
price = { input = 0.25, output = 2 }
quota = { requests = 5, tokens = 6, window = 7, refill = "steady" }
[[targets.outages]]
kind = "error"
start = 1
end = 2
status = 500
share = 0.5
retry_after = 4
[[targets.outages]]
kind = "brownout"
start = 3
end = 4
capacity = 0.5
[[targets.outages]]
kind = "slow"
start = 5
end = 6
factor = 2

[[targets]]
name = "here/other"
latency = { kind = "empirical", values = [1, 2] }
capacity = 2.5

[policies.mine]
retry = 5
[policies.mine.route]
strategy = "round_robin"
"""


def test_every_field_is_read(tmp_path):
    path = tmp_path / "full.toml"
    path.write_text(FULL, encoding="utf-8")
    read = load(path)
    assert (read.title, read.duration, read.seed, read.bucket, read.compare) == (
        "everything",
        100.0,
        3,
        2.5,
        ("none", "mine"),
    )
    assert (read.clients, read.rate, read.surges) == (7, 2.0, (Surge(start=1.0, end=2.0, factor=3.5),))
    clocks = read.clocks
    assert (clocks.total, clocks.first_token, clocks.connect, clocks.between_tokens) == (9.0, 3.0, 1.5, None)
    assert (read.stream, read.input_tokens, read.output_tokens) == (True, 11, 12)
    one, other = read.targets
    assert (one.name, one.latency, one.first_token) == ("here/model", Lognormal(1.0, 4.0), Exponential(0.5))
    assert (one.servers, one.queue, one.full_status, one.cancels, one.refusal, one.pieces) == (8, 9, 529, True, 0.0, 4)
    assert one.price == (Decimal("0.25"), Decimal(2))
    assert one.quota == Quota(requests=5, tokens=6, window=7.0, refill="steady")
    assert one.outages == (
        Outage(kind="error", start=1.0, end=2.0, status=500, share=0.5, retry_after=4.0),
        Outage(kind="brownout", start=3.0, end=4.0, capacity=0.5),
        Outage(kind="slow", start=5.0, end=6.0, factor=2.0),
    )
    assert (other.latency, other.capacity, other.servers) == (Empirical((1.0, 2.0)), 2.5, None)
    own = read.policies["mine"]
    assert own.retry.attempts == 5
    assert own.routes["simulated"].strategy == "round_robin"
    assert own.routes["simulated"].targets == ("here/model", "here/other")


def test_little_is_needed(tables):
    read = parse({"targets": tables["targets"]})
    assert read.targets[0].latency == Constant(0.1)
    assert read.compare == NAMES
    assert read.clocks.total == 60.0


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_examples_can_be_read(path):
    assert load(path).title


def test_the_scenario_of_the_documentation_can_be_read():
    page = (Path(__file__).resolve().parents[2] / "docs" / "simulation.md").read_text("utf-8")
    read = parse(tomllib.loads(page.partition("```toml\n")[2].partition("```")[0]))
    assert (len(read.targets), list(read.policies), read.policies["stubborn"].breaker) == (2, ["stubborn"], None)


def test_there_are_examples():
    assert {path.stem for path in SCENARIOS} == {
        "fast_503",
        "brownout_short_queue",
        "brownout_long_queue",
        "black_hole",
        "minute_quota",
        "failover",
    }


OUTAGE = {"kind": "error", "start": 1, "end": 2}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"duration": 0}, "scenario.duration"),
        ({"duration": "nan"}, "scenario.duration"),
        ({"seed": 1.5}, "scenario.seed"),
        ({"title": ""}, "scenario.title"),
        ({"durations": 3}, "scenario.durations"),
        ({"clients": 3}, "scenario.clients"),
        ({"clients.count": 0}, "scenario.clients.count"),
        ({"clients.rate": True}, "scenario.clients.rate"),
        ({"clients.cuont": 3}, "scenario.clients.cuont"),
        ({"clients.surges": [{"start": 1, "end": 1, "factor": 2}]}, "scenario.clients.surges[0].end"),
        ({"clients.surges": [{"start": 1, "end": 3}]}, "scenario.clients.surges[0].factor"),
        ({"calls.deadline": -1}, "scenario.calls.deadline"),
        ({"calls.stream": 1}, "scenario.calls.stream"),
        ({"calls.timeout": 1}, "scenario.calls.timeout"),
        ({"targets": []}, "scenario.targets"),
        ({"targets": {"name": "a/b"}}, "scenario.targets"),
        ({"targets": [{"name": "a/b", "latency": 1}, {"name": "a/b", "latency": 1}]}, "scenario.targets"),
        ({"targets[0].name": "gpt"}, "scenario.targets[0].name"),
        ({"targets[0].latency": -1}, "scenario.targets[0].latency"),
        ({"targets[0].latency": "fast"}, "scenario.targets[0].latency"),
        ({"targets[0].latency": {"kind": "normal"}}, "scenario.targets[0].latency.kind"),
        ({"targets[0].latency": {"kind": "exponential"}}, "scenario.targets[0].latency.mean"),
        ({"targets[0].latency": {"kind": "exponential", "mean": 0}}, "scenario.targets[0].latency.mean"),
        ({"targets[0].latency": {"kind": "exponential", "mean": 1, "p99": 2}}, "scenario.targets[0].latency.p99"),
        ({"targets[0].latency": {"kind": "lognormal", "median": 2, "p99": 1}}, "scenario.targets[0].latency.p99"),
        ({"targets[0].latency": {"kind": "empirical", "values": []}}, "scenario.targets[0].latency.values"),
        ({"targets[0].latency": {"kind": "empirical", "values": [1, "x"]}}, "scenario.targets[0].latency.values[1]"),
        ({"targets[0].servers": 1, "targets[0].capacity": 3}, "scenario.targets[0].capacity"),
        ({"targets[0].latency": 0, "targets[0].capacity": 3}, "scenario.targets[0].capacity"),
        ({"targets[0].queue": -1}, "scenario.targets[0].queue"),
        ({"targets[0].full_status": 200}, "scenario.targets[0].full_status"),
        ({"targets[0].quota": {"window": 3}}, "scenario.targets[0].quota"),
        ({"targets[0].quota": {"requests": 3, "refill": "never"}}, "scenario.targets[0].quota.refill"),
        ({"targets[0].price": {"input": 1}}, "scenario.targets[0].price.output"),
        ({"targets[0].outages": [{**OUTAGE, "kind": "fire"}]}, "scenario.targets[0].outages[0].kind"),
        ({"targets[0].outages": [{**OUTAGE, "end": 1}]}, "scenario.targets[0].outages[0].end"),
        ({"targets[0].outages": [{**OUTAGE, "share": 0}]}, "scenario.targets[0].outages[0].share"),
        ({"targets[0].outages": [{**OUTAGE, "status": 301}]}, "scenario.targets[0].outages[0].status"),
        ({"targets[0].outages": [{**OUTAGE, "factor": 2}]}, "scenario.targets[0].outages[0].factor"),
        ({"targets[0].outages": [{**OUTAGE, "kind": "brownout"}]}, "scenario.targets[0].outages[0].kind"),
        ({"compare": []}, "scenario.compare"),
        ({"compare": ["none", "noen"]}, "scenario.compare[1]: noen"),
        ({"policies": []}, "scenario.policies"),
        ({"policies.mine": 3}, "scenario.policies.mine"),
        ({"policies.mine": {"ledger": "off"}}, "scenario.policies.mine.ledger"),
        ({"policies.mine": {"retry": {"atempts": 3}}}, "scenario.policies.mine.retry.atempts"),
        ({"policies.mine": {"route": {"strategy": "best"}}}, "scenario.policies.mine.route.strategy"),
        ({"policies.mine": {"route": 3}}, "scenario.policies.mine.route"),
    ],
    ids=str,
)
def test_a_mistake_is_named_by_its_field(tables, changes, field):
    with pytest.raises(ConfigurationError) as caught:
        parse(tables, changes)
    assert caught.value.field == field
    path = field.partition(":")[0]
    assert (path if "policies.mine." not in path else "scenario.policies.mine") in str(caught.value)


def test_a_name_that_comes_close_is_offered(tables):
    tables["targets"][0]["latncy"] = 3
    with pytest.raises(ConfigurationError, match=r"Did you mean scenario.targets\[0\].latency"):
        parse(tables)


def test_a_file_that_is_no_scenario(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "missing.toml")
    path = tmp_path / "broken.toml"
    path.write_text("title = ", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no valid TOML"):
        load(path)


def test_overrides_change_a_copy(tables):
    tables["targets"][0]["outages"] = [dict(OUTAGE)]
    read = parse(tables, {"targets[0].outages[0].end": 90, "policies.mine.retry": 2, "title": "other"})
    assert (read.targets[0].outages[0].end, read.policies["mine"].retry.attempts, read.title) == (90.0, 2, "other")
    assert tables["targets"][0]["outages"][0]["end"] == 2
    assert "policies" not in tables


@pytest.mark.parametrize("field", ["targets[3].name", "targets.name", "title.x", "clients[0]", "x[0]"])
def test_an_override_that_leads_nowhere_is_an_error(tables, field):
    with pytest.raises(ConfigurationError, match="no such field"):
        parse(tables, {field: 1})


@pytest.mark.parametrize("field", ["", "a..b", "targets[x]", "targets[0"])
def test_an_override_that_names_no_field_is_an_error(tables, field):
    with pytest.raises(ConfigurationError, match="no field"):
        parse(tables, {field: 1})
