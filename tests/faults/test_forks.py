"""Rows 90 and 91: both sides of a fork, servers with workers, and the start methods of multiprocessing."""

from __future__ import annotations

import signal

import pytest

from tests.faults.books import check_file
from tests.faults.processes import MODES, QUIET, forks, run, told

# --- 90: both sides of a fork -----------------------------------------------------------------------------------------

FORKED = """
def tagged(caller, who):
    'Whether every answer was the one to its own question: the server repeats the name of the model.'
    for number in range(told["times"]):
        tag = f"{who}-{number}"
        if caller.ask(model=f"a/{tag}").model != tag:
            return False
    return True


def sockets():
    found = set()
    for path in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if (name := str(path.readlink())).startswith("socket:"):
                found.add(name)
    return found


for mode in modes:
    before = sockets()
    caller = Caller(mode)
    assert tagged(caller, "first")
    children = []
    for child in range(told["children"]):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # The parent's connections are closed here, and the ledger's files are others.
                status = 3 if mode["colour"] == "sync" and sockets() - before else 0
                status = status or (0 if tagged(caller, f"child-{child}") else 2)
            finally:
                os._exit(status)
        children.append(pid)
    alright = tagged(caller, "parent")
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    caller.client.flush(30)
    caller.end()
    say(parent=alright, children=statuses)
"""


@forks
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_90_after_a_fork_everybody_gets_the_answers_to_their_own_questions(server, tmp_path):
    """Four children with six calls each; tests/soak has twenty with fifty."""
    what = {**told(server, tmp_path), "times": 6, "children": 4}
    for ledger, seen in zip(what["ledgers"], run(FORKED, what, before=QUIET), strict=True):
        assert seen == {"parent": True, "children": [0] * 4}
        check_file(ledger, calls={"success": 6 * 6})


# --- 91: servers with workers, and multiprocessing --------------------------------------------------------------------

PREFORKED = """
reader, writer = os.pipe()
for mode in modes:
    caller = Caller(mode)
    caller.ask()


def worker(number, caller, endless):
    'Serves so many requests as it may and ends, as the workers of gunicorn do with max_requests.'
    count, ended = 0, []

    def end(*_):
        # An exception is lost where Python runs a finalizer, and in a loop it may strike asyncio itself, which then waits
        # for ever for a task whose turn was lost; the servers that run loops raise none.
        ended.append(True)
        if caller.mode["colour"] == "sync":
            sys.exit(0)

    if told["handler"]:
        signal.signal(signal.SIGTERM, end)
    while (endless and not ended) or count < told["times"]:
        os.write(writer, (caller.ask(model=f"a/worker-{number}").call_id + "\\n").encode())
        count += 1
    # As a worker ends: with its finalizers, and without those of its parent's frames.
    sys.exit(0)


pids = {}
for number, mode in enumerate(modes * 2):
    caller, endless = Caller(mode), number >= len(modes)
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            worker(number, caller, endless)
        except SystemExit:
            with contextlib.suppress(BaseException):
                # What the interpreter does at its end, which the frames above would keep it from.
                import atexit
                atexit._run_exitfuncs()
            os._exit(0)
        finally:
            os._exit(9)
    pids[pid] = endless
os.close(writer)
said, statuses = b"", []
with open(reader, "rb") as acknowledged:
    time.sleep(told["seconds"])
    for pid, endless in pids.items():
        if endless:
            os.kill(pid, signal.SIGTERM)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    said = acknowledged.read()
caller = Caller(modes[0])
whole = caller.client.flush(30)
say(flushed=whole, calls=said.decode().split("\\n")[:-1], statuses=statuses)
"""


@forks
@pytest.mark.parametrize("handler", [False, True], ids=["killed", "handled"])
def test_91_workers_that_were_forked_after_the_first_call_and_are_ended(server, tmp_path, handler):
    what = told(server, tmp_path, one_ledger=True)
    # Where a handler raises, Python complains of coroutines that are never awaited and of what it raised in finalizers.
    told_too = {"times": 3, "seconds": 0.5, "handler": handler}
    (seen,) = run(PREFORKED, {**what, **told_too}, before=QUIET, noisy=handler)
    count = len(MODES)
    assert seen["flushed"]
    assert seen["statuses"][:count] == [0] * count
    # Nobody handles the signal: it ends the process at once, and only what was under way is left open.
    assert set(seen["statuses"][count:]) == ({0} if handler else {-signal.SIGTERM})
    assert len(seen["calls"]) >= 3 * count
    check_file(what["ledgers"][0], acknowledged=seen["calls"], unsettled=0 if handler else count)


MULTIPROCESSING = """
import multiprocessing


def work(mode):
    caller = Caller(mode)
    answers = [caller.ask().text for _ in range(2)]
    if "shared" in globals():
        answers.append(shared.ask().text)
    return answers


if __name__ == "__main__":
    method = told["method"]
    if method == "fork":
        shared = Caller(modes[0])
        shared.ask()
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        answers = pool.map(work, modes, chunksize=4)
        pool.close()
        pool.join()
    caller = Caller(modes[0])
    say(flushed=caller.client.flush(30), answers=sum(map(len, answers)))
"""


@pytest.mark.parametrize(
    "method", [pytest.param("fork", marks=forks), pytest.param("forkserver", marks=forks), "spawn"]
)
def test_91_every_start_method_of_multiprocessing(server, tmp_path, method):
    """Its children find their program in the file that was started."""
    what = {**told(server, tmp_path, one_ledger=True), "method": method}
    (seen,) = run(MULTIPROCESSING, what, before=QUIET, file=tmp_path / "program.py")
    expected = 3 if method == "fork" else 2
    assert seen == {"flushed": True, "answers": expected * len(MODES)}
    check_file(what["ledgers"][0], calls={"success": expected * len(MODES) + (method == "fork")})
