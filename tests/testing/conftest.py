from __future__ import annotations

import http.client
import json

import pytest

from aistrale.testing import simulator

HEADERS = {"authorization": "Bearer k", "content-type": "application/json", "anthropic-version": "2023-06-01"}


@pytest.fixture(scope="session")
def running():
    with simulator() as simulated:
        yield simulated


@pytest.fixture
def sim(running):
    running.reset()
    return running


class Answer:
    """A response that was read to its end."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


@pytest.fixture
def ask(sim):
    """One request over a connection of its own; `ask(path, body)` posts JSON, anything else is for keywords."""
    opened = []

    def send(path, body=None, *, method="POST", headers=None, timeout=10):
        connection = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=timeout)
        opened.append(connection)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, HEADERS if headers is None else headers)
        return Answer(connection.getresponse())

    yield send
    for connection in opened:
        connection.close()
