"""One of several processes that share state: does what it is told on its standard input, and tells what happened.

The provider is a function in this process, so that nothing but the shared state is shared.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from decimal import Decimal

import httpx

import aistrale
from aistrale.errors import AistraleError, BudgetExceeded

MODEL = "openai/gpt-test"
# An answer costs 0.004 dollars, and may cost 0.008.
PRICES = [{"model": MODEL, "input": "0", "output": "400"}]
TOKENS, MOST = 10, 20


class Provider(httpx.BaseTransport):
    """Answers at once, or fails."""

    def __init__(self):
        self.fails = False
        self.asked = []

    def handle_request(self, request):
        self.asked.append(time.time())
        if self.fails:
            return httpx.Response(500, json={"error": {"message": "down"}})
        message = {"role": "assistant", "content": "Hello"}
        usage = {"prompt_tokens": 5, "completion_tokens": TOKENS, "total_tokens": 5 + TOKENS}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "x", "object": "chat.completion", "model": "gpt-test", "choices": [choice], "usage": usage}
        return httpx.Response(200, json=body)


class Worker:
    def __init__(self):
        self.provider = Provider()
        self.client = None
        self.news = []

    def open(self, state, **settings):
        """A client with these settings."""
        self.close()
        self.provider.asked, self.news = [], []
        self.client = aistrale.Client(
            state=state,
            providers={"openai": {"api_key": "sk-000000000000000000000000"}},
            prices=PRICES,
            ledger="off",
            http="httpx",
            transport=self.provider,
            on_event=self.changed,
            **settings,
        )

    def changed(self, event):
        if type(event).__name__ == "BreakerEvent":
            self.news.append((event.name, event.news, time.time()))

    def connect(self):
        """Make the first call, and wait until Redis is there."""
        self.client.run("Hello", model=MODEL, max_tokens=MOST)
        self.client.flush()
        until = time.monotonic() + 20.0
        while not (self.client.state().connected and self.client._engine.fleet._listener._thread):
            assert time.monotonic() < until, self.client.state()
            time.sleep(0.01)
        return str(self.client.budgets()[0].spent) if self.client.budgets() else None

    def paced(self, begins, seconds, threads):
        """Call as often as the limits let through, from an instant on; when the provider was asked."""
        self.provider.asked = []
        self.several(threads, lambda: self.call(begins, begins + seconds))
        return self.provider.asked

    def call(self, begins, ends):
        time.sleep(max(begins - time.time(), 0.0))
        while time.time() < ends:
            with contextlib.suppress(AistraleError):
                self.client.run("Hello", model=MODEL, max_tokens=MOST, deadline=max(ends - time.time(), 0.05))

    def spend(self, threads, pause, seconds):
        """Call until there is no money left; what it cost, and how many calls there were."""
        costs = []
        ends = time.monotonic() + seconds

        def calls():
            while time.monotonic() < ends:
                try:
                    costs.append(self.client.run("Hello", model=MODEL, max_tokens=MOST).cost.usd)
                except BudgetExceeded:
                    return
                time.sleep(pause)

        self.several(threads, calls)
        return str(sum(costs, Decimal(0))), len(costs)

    def several(self, count, work):
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def settled(self):
        """What the budget stands at when everything was told."""
        until = time.monotonic() + 20.0
        store = self.client._engine.accounts.budgets.store
        while time.monotonic() < until:
            # For a moment after an outage it keeps to its share.
            if self.client.flush() and self.client.state().connected and store._alone_until is None:
                break
            time.sleep(0.01)
        status = self.client.budgets()[0]
        return str(status.spent), str(status.reserved), self.client.state().errors

    def fail(self):
        """Call a provider that fails until the breaker opens; when it did."""
        self.provider.fails = True
        while not self.news:
            with contextlib.suppress(AistraleError):
                self.client.run("Hello", model=MODEL)
        return self.news[0]

    def heard(self):
        """The first news of a breaker."""
        until = time.monotonic() + 10.0
        while not self.news and time.monotonic() < until:
            time.sleep(0.002)
        return self.news[0] if self.news else None

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def main():
    worker = Worker()
    for line in sys.stdin:
        name, args = json.loads(line)
        result = getattr(worker, name)(**args)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    worker.close()


if __name__ == "__main__":
    main()
