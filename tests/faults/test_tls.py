"""Rows 8 to 14: certificates that must not be accepted, handshakes that stall or break, answers cut without an end."""

from __future__ import annotations

import pytest

from aistrale.errors import NetworkError, TLSError
from tests.faults.matrix import ALL, answers, both, errors_of, fails, params, unbilled, uncertain

SHORT = {"clocks": {"connect": 0.2}}

ROWS = [
    # A certificate that does not fit is a security signal: one attempt, and nobody else is asked instead.
    *(
        both(row, f"port/{name}", fails(TLSError, a=1), fallback=True, arrives=False, colours=colours, check=unbilled)
        for row, name, colours in (
            (8, "tls_selfsigned", ALL),
            (9, "tls_expired", ("sync", "asyncio")),
            (10, "tls_wronghost", ("sync", "asyncio")),
            (13, "tls_plain", ALL),
        )
    ),
    both(11, "port/tls_stall", answers("b", a=1, b=1), fallback=True, arrives=False, settings=SHORT, least=0.2,
         within=1.0, colours=ALL, check=errors_of("AttemptTimeout")),
    both(12, "port/tls_rst", answers("b", a=2, b=1), fallback=True, arrives=False, colours=ALL, check=unbilled),
    both(14, "port/tls_midcut", fails(NetworkError, a=3), arrives=False, colours=ALL, check=uncertain),
    both(14, "port/tls_midcut", answers("b", a=1, b=1), name="tls_midcut to b", fallback=True, arrives=False,
         check=uncertain),
]  # fmt: skip


@pytest.mark.parametrize(("case", "streamed"), params(*ROWS))
def test_row(play, server, case, streamed):
    name = case.fault.removeprefix("port/")
    if name not in server.ports:
        pytest.skip(f"the fault server has no listener {name}: it makes certificates with the program openssl")
    before = server.stats()["requests"]
    play(case, streamed)
    if case.row == 13:
        # Nothing was said in plain text either.
        assert server.stats()["requests"] == before


@pytest.mark.parametrize("name", ["tls_selfsigned", "tls_expired", "tls_wronghost"])
def test_the_error_names_what_is_wrong_with_the_certificate(play, server, name):
    if name not in server.ports:
        pytest.skip("the fault server made no certificates")
    words = {"tls_selfsigned": "self", "tls_expired": "expired", "tls_wronghost": "127.0.0.1"}
    case = both(8, f"port/{name}", fails(TLSError, a=1), arrives=False)
    for run in play(case, False):
        assert words[name] in str(run.asked[0].error)
        assert run.asked[0].error.phase == "tls"
