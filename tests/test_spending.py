"""Questions about money through the clients, over a real ledger and the simulator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import pytest

import aistrale
from aistrale.cost.forecasts.result import InsufficientData
from aistrale.cost.shape import KEY_FILE
from aistrale.errors import BudgetExceeded, ConfigurationError
from aistrale.store.records import AttemptRow, CallRow
from aistrale.testing import simulator
from aistrale.types import Message

DAY = 86_400.0


@pytest.fixture(scope="module")
def provider():
    with simulator() as running:
        yield running


@pytest.fixture
def settings(provider, tmp_path):
    return {
        **provider.settings(),
        "ledger": f"sqlite:///{tmp_path}/ledger.sqlite3",
        "model": "openai/gpt-5-mini",
    }


@pytest.fixture
def client(settings):
    with aistrale.Client(**settings) as made:
        yield made


def spend(client, days, usd, *, model="openai/gpt-5-mini", at=None, **context):
    """Write what one call a day cost, the last of them yesterday; `usd` gives the amount of a day's number."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() if at is None else at
    provider, _, name = model.partition("/")
    for day in range(days):
        moment = midnight - (days - day) * DAY + 3600.0
        call_id = f"{model}-{day}"
        cost = f"{usd(day):.6f}"
        attempt = AttemptRow(
            call_id=call_id, attempt=1, at=moment, latency=1.0, provider=provider, model=name, target=model,
            streamed=False, outcome="success", input=1000, output=100, usage_source="reported", cost=cost,
        )  # fmt: skip
        call = CallRow(
            call_id=call_id, at=moment, latency=1.0, kind="chat", model_asked=model, outcome="success", attempts=1,
            input=1000, output=100, usage_source="reported", cost=cost, **context,
        )  # fmt: skip
        assert client.ledger.append(attempt, call)


def test_what_calls_cost_is_asked_by_any_dimension(client):
    with aistrale.context(project="shop"):
        first = client.run("Hello", max_tokens=20)
    client.run("Hello", max_tokens=20)
    report = client.costs(by=["project", "model"])
    assert {row.key for row in report.rows} == {("shop", "openai/gpt-5-mini"), (None, "openai/gpt-5-mini")}
    assert report.total.usd == 2 * first.cost.usd
    assert client.costs(where={"project": "shop"}).total.calls == 1
    assert client.costs(since=datetime.now(UTC) + timedelta(hours=1)).total.calls == 0
    assert first.cost.book == client.estimate("Hello").book


def test_own_prices_are_what_calls_cost(settings):
    prices = [{"model": "openai/gpt-5-mini", "input": "1000000", "output": "0"}]
    with aistrale.Client(**settings, prices=prices) as client:
        answer = client.run("Hello", max_tokens=20)
        assert answer.cost.usd == answer.usage.input_total
        assert answer.cost.book.endswith("+own")
        assert client.costs().total.usd == answer.cost.usd


def test_budgets_are_kept_and_told(settings):
    told = []
    budgets = [{"scope": "project:shop", "limit": "0.000001", "period": "day"}]
    with aistrale.Client(**settings, budgets=budgets, on_event=told.append) as client:
        client.run("Hello", max_tokens=20)
        with aistrale.context(project="shop"), pytest.raises(BudgetExceeded) as refused:
            client.run("Hello", max_tokens=20)
        assert refused.value.limit == Decimal("0.000001")
        (status,) = client.budgets()
        assert (status.spent, status.reserved, status.limit) == (0, 0, Decimal("0.000001"))
        assert [event.what for event in told] == ["refused"]
    with aistrale.Client(**settings, budgets=budgets) as client:
        assert client.costs(where={"project": "shop"}).total.attempts == 0


def test_a_context_can_limit_one_call(client):
    with aistrale.context(budget="0.0000001"), pytest.raises(BudgetExceeded):
        client.run("Hello", max_tokens=20)
    with aistrale.context(budget="0.01"):
        assert client.run("Hello", max_tokens=20).text


def test_tokens_are_counted_and_costs_estimated_without_sending(client, provider):
    before = len(provider.requests)
    count = client.count_tokens("How many tokens are these?", model="openai/gpt-5-mini")
    assert count.low <= count.tokens <= count.high
    estimate = client.estimate("How many tokens are these?", max_tokens=30)
    assert estimate.input_tokens == count.tokens
    assert estimate.usd_low <= estimate.usd <= estimate.usd_high <= estimate.usd_most
    assert estimate.output_most == 30
    assert len(provider.requests) == before


def test_an_estimate_learns_from_the_answers_before(client):
    for number in range(6):
        client.run(f"Say something {number}", max_tokens=200)
    estimate = client.estimate("Say something", max_tokens=200)
    assert estimate.answers == 6
    assert "6 earlier answers" in estimate.reason


def test_too_little_history_is_no_forecast(client):
    with pytest.raises(InsufficientData):
        client.forecast()
    with pytest.raises(InsufficientData):
        client.month()


def test_steady_spend_goes_on(client):
    spend(client, 60, lambda day: 2.0 + 0.1 * (day % 7))
    ahead = client.forecast(14)
    assert len(ahead.days) == 14
    assert ahead.total.intervals[0].low <= ahead.total.p50 <= ahead.total.intervals[0].high
    assert 26.0 < ahead.total.p50 < 36.0
    month = client.month()
    assert month.total.p50 >= month.spent


def test_a_forecast_is_of_what_was_asked_for(client):
    spend(client, 40, lambda day: 1.0, project="shop")
    spend(client, 40, lambda day: 9.0, model="anthropic/claude-haiku-4-5")
    assert client.forecast(10, where={"project": "shop"}).total.p50 == pytest.approx(10.0, rel=0.2)


def test_an_unusual_day_is_found_with_who_made_it_so(client):
    spend(client, 60, lambda day: 10.0 + day % 3, route="chat")
    spend(client, 60, lambda day: 90.0 if day == 55 else 4.0, model="openai/gpt-6-sol", route="batch")
    (found,) = client.anomalies()
    assert found.anomaly.kind == "spike"
    assert found.day == (datetime.now(UTC) - timedelta(days=5)).date()
    assert found.explanation.dimension in {"model", "route"}
    assert found.contributions[0].key in {"openai/gpt-6-sol", "batch"}
    assert found.as_document()["contributions"][0]["power"] > 0.9


def test_quiet_days_have_no_anomalies_and_a_clean_ledger_no_advice(client):
    spend(client, 60, lambda day: 3.0 + day % 7)
    assert client.anomalies() == []
    assert client.advise(1) == []


def test_what_was_optimised_stands_in_the_ledger(settings):
    told = []
    optimize = {"compact": True, "share": 0.95, "max_share": 0.95}
    wordy = "Say  hello.   " + "\n\n\n" * 40 + "The same paragraph, which is long enough to be worth something.\n\n" * 6
    with aistrale.Client(**settings, optimize=optimize, on_event=told.append) as client:
        for _ in range(12):
            client.run(wordy, max_tokens=20)
        client.flush()
        rows = client.ledger.calls()
    assert len(rows) == 12
    assert sum(bool(row.optimized) for row in rows) >= 8
    assert {event.what for event in told} >= {"applied"}


BIG, SMALL = "openai/gpt-6-sol", "openai/gpt-6-luna"


def test_a_cheaper_model_is_tried_on_a_share_and_taken_back_when_its_answers_are_worse(settings):
    told = []
    optimize = {"models": {BIG: SMALL}, "share": 0.4, "max_share": 0.8}
    change = f"model:{BIG}>{SMALL}"
    settings |= {"model": BIG, "optimize": optimize, "on_event": told.append}

    def judged(client):
        """Ask and judge: what the cheaper model says is worth little. Whether it was asked."""
        answer = client.run("Hello", max_tokens=5)
        cheaper = answer.model.startswith(SMALL.partition("/")[2])
        client.score(answer.call_id, 0.3 if cheaper else 0.9)
        return cheaper

    with aistrale.Client(**settings) as client:
        assert client.optimization() == []
        asked = [judged(client) for _ in range(60)]
        (status,) = client.optimization()
        assert (status.change, status.undone) == (change, None)
        assert (sum(status.calls), status.calls[0]) == (60, sum(asked))
        assert 5 < sum(asked) < 45
        for _ in range(240):
            if client.optimization()[0].undone is not None:
                break
            judged(client)
        (status,) = client.optimization()
        assert status.share == 0
        assert "scores" in status.undone
        assert status.quality == (pytest.approx(0.3), pytest.approx(0.9))
        assert not any(judged(client) for _ in range(20))
        client.flush()
        rows = client.ledger.calls(1000)
        assert sum(row.optimized == [change] for row in rows) == status.calls[0]
        assert {row.model.startswith(SMALL.partition("/")[2]) for row in rows if row.optimized} == {True}
    # Neither a new process nor the other face forgets it, until somebody allows it again.
    with aistrale.Client(**settings) as client:
        assert client.as_async().optimization()[0].undone == status.undone
        assert not any(judged(client) for _ in range(20))
        with pytest.raises(ConfigurationError, match="unknown change"):
            client.reset_optimization("model:a>b")
        client.as_async().reset_optimization(change)
        (status,) = client.optimization()
        assert (status.share, status.undone) == (0.4, None)
        assert any(judged(client) for _ in range(40))
    assert [event.what for event in told if event.call_id is None] == ["undone", "reset"]


def test_a_client_that_optimises_nothing_says_so(client):
    assert client.optimization() == []
    client.reset_optimization()
    with pytest.raises(ConfigurationError, match="unknown change 'compact'"):
        client.reset_optimization("compact")


def test_prompts_are_known_again_by_a_key_beside_the_ledger(settings, tmp_path):
    prompt = [Message.system("Be brief."), Message.user("Hello")]
    for _ in range(2):
        with aistrale.Client(**settings) as client:
            client.run(prompt, max_tokens=5)
            client.run(prompt, max_tokens=5)
            client.flush()
            prefixes = {exchange.intent.prefix for exchange in client.ledger.exchanges()}
    assert len(prefixes) == 1
    assert None not in prefixes
    assert (tmp_path / KEY_FILE).exists()


def test_quiet_hours_burn_nothing_and_a_budget_is_measured_against(client):
    client.run("Hello", max_tokens=20)
    assert client.burning() == []
    assert client.burning(budget=1000.0) == []


def test_answers_are_scored(client):
    answer = client.run("Hello", max_tokens=20)
    assert client.score(answer.call_id, 0.9)
    assert [row.score for row in client.ledger.scores(answer.call_id)] == [0.9]
    with pytest.raises(ConfigurationError):
        client.score(answer.call_id, 2.0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_clients_ask_the_same(settings, backend):
    async def ask():
        async with aistrale.AsyncClient(**settings) as client:
            answer = await client.run("Hello", max_tokens=20)
            assert await client.score(answer.call_id, 1.0)
            count = await client.count_tokens("Hello")
            assert count.tokens > 0
            assert (await client.estimate("Hello", max_tokens=5)).usd is not None
            assert (await client.costs("model")).total.usd == answer.cost.usd
            assert await client.anomalies() == []
            assert await client.advise() == []
            assert await client.burning() == []
            assert client.budgets() == []
            with pytest.raises(InsufficientData):
                await client.forecast()
            with pytest.raises(InsufficientData):
                await client.month()

    anyio.run(ask, backend=backend)


def test_where_the_ledger_is_off_nothing_is_known(provider):
    with aistrale.Client(**provider.settings(), ledger="off", model="openai/gpt-5-mini") as client:
        client.run("Hello", max_tokens=20)
        assert client.costs().rows == []
        assert client.anomalies() == []
        assert client.estimate("Hello").answers == 0
