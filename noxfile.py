"""The chores, one verb each: ``nox -s lint``. The same verbs serve people and continuous integration.

With a virtual environment of its own for each verb (what you get without options), the exact versions of
requirements/ are installed. ``nox --no-venv -s lint`` runs in the environment that is active.

What follows ``--`` goes on to the tool: ``nox -s test -- -k upgrade``, ``nox -s lint -- --fix``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2026.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "test"]

#: Tests of the modules that may be compiled, and of those directly above them.
HOT_PATH = [
    *(f"tests/protocol/test_{name}.py" for name in ("frame", "parser", "parser_encoding", "parsers")),
    *(
        f"tests/integrations/test_{name}.py"
        for name in (
            *("departures", "handover", "request_head"),
            *("uvicorn_accept", "uvicorn_direct", "uvicorn_http", "uvicorn_websocket"),
        )
    ),
    *("tests/engine", "tests/messaging", "tests/server"),
]


def install(session: nox.Session, extra: str) -> None:
    """The locked versions and this project, into the session's own environment if it has one."""
    if session.venv_backend == "none":
        return
    session.install("--require-hashes", "--no-deps", "-r", f"requirements/{extra}.lock")
    session.install("--no-deps", "-e", ".")


@nox.session
def test(session: nox.Session) -> None:
    """All tests: units, architecture, documents, and the interop tests with real peers."""
    install(session, "dev")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and likely bugs, by ruff; `-- --fix` mends and formats."""
    install(session, "dev")
    fix = "--fix" in session.posargs
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", *([] if fix else ["--check", "--diff"]))


@nox.session
def types(session: nox.Session) -> None:
    """Types, by mypy (strict) and by pyright."""
    install(session, "dev")
    session.run("mypy", *session.posargs)
    session.run("pyright", "--warnings", *session.posargs)


@nox.session
def architecture(session: nox.Session) -> None:
    """The rules of the house: floors, file length, exports, third parties, lock files, tests' places."""
    install(session, "dev")
    session.run("pytest", "tests/architecture", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Real peers: the official JavaScript client, a browser, other ASGI servers. Needs Node.js."""
    install(session, "dev")
    session.run("pytest", "interop", *session.posargs)


@nox.session
def interpreted(session: nox.Session) -> None:
    """The hot path as it is where there is no compiler: its tests once more, without its compiled modules."""
    install(session, "dev")
    hot = {path.with_suffix("").name for path in Path("src").rglob("*.pxd")}

    def compiled(_: str, names: list[str]) -> list[str]:
        return [name for name in names if name.endswith((".so", ".pyd")) and name.partition(".")[0] in hot]

    with TemporaryDirectory() as folder:
        shutil.copytree("src", folder, ignore=compiled, dirs_exist_ok=True)
        # In front of what is installed, for the processes that tests start as well.
        env = {"PYTHONPATH": folder}
        said = session.run("python", "-m", "socketeer.cli", "--version", env=env, silent=True)
        if "hot path interpreted" not in str(said):
            session.error(f"expected the hot path to run interpreted, got {said}")
        session.run("pytest", *HOT_PATH, *session.posargs, env=env)


@nox.session
def bench(session: nox.Session) -> None:
    """Load against this server and its peers, side by side: table, picture, growth. Needs Node.js and gcc."""
    install(session, "bench")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documents: every link in a Markdown file leads somewhere."""
    install(session, "dev")
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Write all lock files anew, Python's and npm's; `-- --upgrade` for the newest versions."""
    if session.venv_backend != "none":
        session.install("uv")
    for extra in ("dev", "bench"):
        session.run(
            *("uv", "pip", "compile", "pyproject.toml", "--extra", extra),
            *("--output-file", f"requirements/{extra}.lock"),
            *("--universal", "--python-version", "3.11", "--generate-hashes"),
            # Nothing of the machine that made it, nor of where it fetched from.
            *("--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet"),
            *session.posargs,
        )
    for folder in ("interop", "benchmarks"):
        with session.chdir(folder):
            verb = "update" if "--upgrade" in session.posargs else "install"
            session.run("npm", verb, "--package-lock-only", external=True)
