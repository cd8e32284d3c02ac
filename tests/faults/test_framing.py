"""Rows 34, 36 to 42 and 44 to 47: what is not HTTP/1.1, or leads elsewhere."""

from __future__ import annotations

import pytest

from aistrale.errors import APIError, NetworkError, ResponseError
from tests.faults.matrix import ALL, KEY, Case, answers, both, fails, in_turn, params

BAD = (NetworkError, ResponseError)
CHUNKS = ("bad_chunk_len", "negative_chunk_len", "huge_chunk_len", "chunk_too_short")


def fresh(run):
    """A check: no attempt was made on the connection of the one before."""
    assert sum(each["reused"] for each in run.connections) == 0


ROWS = [
    # Once more on a new connection, then another target.
    *(both(34, fault, answers("a", a=2), script=(fault, "ok"), check=fresh) for fault in CHUNKS),
    *(
        both(34, fault, fails(BAD, a=2), name=f"{fault} always", check=fresh)
        # A chunk of 2**76 bytes is cut off like any other.
        for fault in CHUNKS if fault != "huge_chunk_len"
    ),
    *(both(34, fault, answers("b", a=1, b=1), name=f"{fault} to b", fallback=True) for fault in CHUNKS[:1]),
    both(37, "two_content_lengths", fails(BAD, a=2), colours=ALL, check=fresh),
    both(38, "cl_and_te", answers("a", a=1), colours=ALL),
    *(
        both(39, fault, fails(BAD, a=2), check=fresh, colours=ALL if fault == "binary_garbage" else ("sync", "asyncio"))
        for fault in ("bad_status_line", "binary_garbage", "bad_header")
    ),
    both(40, "http10_close", answers("a", a=1)),
    both(41, "http10_truncated", fails(ResponseError, a=2)),
    both(42, "info_100_then_ok", answers("a", a=1), colours=ALL),
    both(44, "switching_101", fails(BAD, a=range(1, 3)), within=2.0),
    both(45, "huge_header", fails(BAD, a=2), check=fresh),
    both(45, "many_headers", fails(BAD, a=2), check=fresh),
    both(46, "redirect_loop", fails(APIError, a=1), colours=ALL),
    both(46, "redirect_loop:status=301", fails(APIError, a=1)),
]  # fmt: skip


@pytest.mark.parametrize(("case", "streamed"), params(*ROWS))
def test_row(play, case, streamed):
    play(case, streamed)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("status", [302, 307, 308])
def test_47_a_redirect_leads_nobody_away(play, streamed, status):
    def check(run):
        assert run.stats["by_fault"] == {"redirect_away": 1}
        assert run.asked[0].error.status == status
        assert KEY not in repr(run.stats)

    case = both(47, f"redirect_away:status={status}", fails(APIError, a=1), check=check,
                provider="anthropic" if status == 308 else "compatible")  # fmt: skip
    play(case, streamed)


# --- 36: a length that is too short poisons the connection ------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_36_what_was_sent_too_much_is_in_nobodys_way(play, streamed):
    async def scenario(face, run):
        return [await face.ask(), await face.ask()]

    def check(run):
        assert [row.error for row in run.attempts("a")] == ["ResponseError", None, None]
        # The second connection served twice; the first one, on which the rest of an answer lies, did not.
        assert sum(each["opened"] for each in run.connections) == 2
        assert run.retried == 0

    case = both(36, "content_length_short", answers("a", a=3), script=("content_length_short", "ok"),
                scenario=scenario, check=check, colours=ALL)  # fmt: skip
    play(case, streamed)


def test_no_fault_of_framing_goes_unnoticed_on_a_kept_connection(play):
    """The first request of a connection is read by the HTTP library, later ones by our own reader."""

    async def scenario(face, run):
        return [await face.ask(), await face.ask()]

    def check(run):
        rows = run.attempts("a")
        assert [row.outcome for row in rows] == ["success", "error"]
        assert sum(each["reused"] for each in run.connections) == 1

    expect = in_turn(answers("a"), fails(BAD), a=2)
    for fault in (*CHUNKS, "two_content_lengths", "bad_status_line", "binary_garbage", "bad_header", "huge_header"):
        case = Case(row=34, script=("ok", fault), plain=expect, scenario=scenario, check=check,
                    settings={"retry": False})  # fmt: skip
        play(case, False)


def test_errors_of_framing_show_nothing_of_what_came(play):
    for fault in ("bad_status_line", "bad_header", "chunk_too_short"):
        for run in play(Case(row=39, fault=fault, plain=fails(BAD, a=2)), False):
            text = str(run.asked[0].error)
            assert "ICY" not in text
            assert "colon" not in text
            assert "abcdefgh" not in text
