"""The project's checks, one per session: `nox -l` lists them, `scripts/test` runs what CI runs.

Sessions share `.venv` with `scripts/demo` and `scripts/test`; only other Pythons and the built wheel have their
own environment. All are kept, and updated when a pin changes, so that a second run starts at once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False  # not even on CI: the workflow names its Python itself
nox.options.sessions = ["lint", "typing", "tests", "contract", "docs", "package"]

ROOT = Path(__file__).resolve().parent
PYPROJECT_FILE = ROOT / "pyproject.toml"
VENV_PYTHON = ROOT / ".venv" / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
FOCUS_CONSTRAINTS = ROOT / "constraints-focus.txt"
CONTRACT = Path("openapi", "venice-billing.yaml")
PYTEST_ALL = ("-m", "pytest", "-n", "2", "--dist", "loadfile")  # a file's tests may build on one another
TESTS = Path("contract_tests")
CONTRACT_SUITE = ("-m", "pytest", "-q", "--tb=short", "-rN", str(TESTS / "contract"))
PROJECT = [f"--ignore={TESTS / name}" for name in ("pipeline", "project")]  # its own tools, which run on one Python
TOOLS = [*PROJECT, f"--ignore={TESTS / 'contract'}"]  # all that needs those tools
PYPROJECT = nox.project.load_toml(PYPROJECT_FILE)
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = nox.project.python_versions(PYPROJECT)
LOWEST_PYTHON = min(PYTHONS, key=lambda version: int(version.partition(".")[2]))
OTHER_PYTHONS = [version for version in PYTHONS if version != THIS_PYTHON]

# pyenv's interpreters count as installed, though its shims refuse to run interpreters that are not selected.
_PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, _PYENV.glob("versions/3.*/bin"))])

# Tests start thousands of processes, and each would compile the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Check style and layout; with Node.js here, also the contract as redocly and spectral read it."""
    _run(session, "-m", "ruff", "check")
    _run(session, "-m", "ruff", "format", "--check")
    _run(session, "scripts/lint_contract.py")


@nox.session(venv_backend="none")
def typing(session: nox.Session) -> None:
    """Check the types with mypy (strict) and pyright."""
    _run(session, "-m", "mypy")
    _run(session, "-m", "pyright", "--pythonpath", str(VENV_PYTHON))


@nox.session(venv_backend="none")
def quick(session: nox.Session) -> None:
    """Check the types with mypy alone, and run the tests of the public clients."""
    _run(session, "-m", "mypy")
    _run(session, *PYTEST_ALL, str(TESTS / "facade"))


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run every test, then most of them on each other Python that the classifiers name and this machine has."""
    _run(session, *PYTEST_ALL, *session.posargs)
    for version in OTHER_PYTHONS:
        session.notify(f"tests_elsewhere-{version}", session.posargs)


@nox.session(python=OTHER_PYTHONS)
def tests_elsewhere(session: nox.Session) -> None:
    """Run the tests of the package on one more Python; the tests of the project's own tools run on one alone."""
    _install(session, "--group", "test", "--editable", ".")
    session.run("python", *PYTEST_ALL, *PROJECT, *session.posargs)


@nox.session(python=LOWEST_PYTHON)
def floors(session: nox.Session) -> None:
    """Run the facade's tests on the lowest Python and the lowest versions that pyproject.toml allows."""
    floors = _floors()
    others = [pin for pin in CONSTRAINTS.read_text().splitlines() if _name_of(pin) not in floors]
    constraints = Path(session.virtualenv.location) / "constraints.txt"
    constraints.write_text("\n".join([*others, *(f"{name}=={version}" for name, version in floors.items()), ""]))
    _install(session, "--group", "facade", "--editable", ".", constraints=constraints)
    session.run("python", *PYTEST_ALL, *TOOLS, *session.posargs)


def _floors() -> dict[str, str]:
    """Return the lowest version of each dependency."""
    floors = {}
    for requirement in PYPROJECT["project"]["dependencies"]:
        floor = re.fullmatch(r"([a-z0-9-]+)>=([0-9.]+)(,<[0-9.]+)?", requirement)
        if floor is None:
            raise ValueError(f"a dependency names its lowest version first: {requirement}")
        floors[floor[1]] = floor[2]
    return floors


def _name_of(pin: str) -> str:
    return pin.partition("==")[0].strip().lower()


@nox.session(venv_backend="none")
def contract(session: nox.Session) -> None:
    """Check whether the committed client fits the contract: VENICE_CONTRACT, or the bundled one."""
    _run(session, *CONTRACT_SUITE, *session.posargs)


@nox.session(venv_backend="none")
def mutants(session: nox.Session) -> None:
    """Run the contract suite on every mutation of the contract (arguments: scripts/mutants.py --help)."""
    _run(session, "scripts/mutants.py", *session.posargs, env={"PYTHONPATH": str(ROOT)})


@nox.session(venv_backend="none")
def live(session: nox.Session) -> None:
    """Check the real API against the contract, with VENICE_API_KEY; read-only, a few dozen requests at most."""
    _run(session, "scripts/live.py", *session.posargs)


@nox.session(venv_backend="none")
def watch(session: nox.Session) -> None:
    """Tell what a published document would change (arguments: scripts/watch.py --help, --upstream URL --dry-run)."""
    _run(session, "scripts/watch.py", *session.posargs)


@nox.session(venv_backend="none")
def chaos(session: nox.Session) -> None:
    """Walk and export in thousands of scenarios with faults (arguments: -- --help; --seed N repeats one)."""
    _run(session, "-m", "contract_tests.chaos", *session.posargs)


@nox.session(venv_backend="none")
def crash(session: nox.Session) -> None:
    """Kill fifty processes that sync a ledger, and compare what the next sync makes of it (arguments: kills, seed)."""
    _run(session, "-m", "contract_tests.ledger", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Read a dataset of a ledger with PySpark (where there is Java), DuckDB and polars, and compare their sums."""
    _install(session, "--group", "engines", "--editable", ".")
    session.run("python", "-m", "contract_tests.ledger.engines", *session.posargs)


@nox.session(python="3.12")
def focus(session: nox.Session) -> None:
    """Validate a FOCUS export with the official validator, which needs Python 3.12 and libraries of its own."""
    _install(session, "--group", "focus", constraints=FOCUS_CONSTRAINTS)
    _run(session, "-m", "contract_tests.ledger.focus.validation", str(_python_of(Path(session.virtualenv.location))))


@nox.session(venv_backend="none")
def regenerate(session: nox.Session) -> None:
    """Regenerate contract and client (arguments: scripts/regenerate.py --help), test them, print what changed."""
    # Not session.create_tmp(): it redirects all temporary files into .nox, where ruff formats nothing.
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, CONTRACT.name)
        shutil.copyfile(ROOT / CONTRACT, old)
        _run(session, "scripts/regenerate.py", *session.posargs)
        made = _output(session.posargs)
        new = made / CONTRACT
        new = new if new.exists() else ROOT / CONTRACT  # --check writes none
        try:  # the client that was made, wherever it is: PYTHONPATH comes before what is installed
            _run(session, *CONTRACT_SUITE, env={"VENICE_CONTRACT": str(new), "PYTHONPATH": str(made / "generated")})
        finally:  # the diff explains a failed suite; a breaking change alone is no failure, the suite decides
            _run(session, "scripts/contract_diff.py", str(old), str(new), success_codes=[0, 1])


@nox.session
def bench(session: nox.Session) -> None:
    """Benchmark this client against its peers (arguments: benchmarks/run.py --help), and save the results."""
    _install(session, "--group", "bench", "--editable", ".")
    session.run("python", "benchmarks/run.py", "--output", "benchmarks/results.md", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build/html, with warnings as errors, and run the examples of its pages."""
    _install(session, "--group", "docs", "--editable", ".")
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-E", "docs", "docs/_build/html")
    session.run("python", *PYTEST_ALL, "-q", "--override-ini=pythonpath=docs/programs", "docs", *session.posargs)


@nox.session
def warehouse(session: nox.Session) -> None:
    """Load an account into DuckDB and PostgreSQL with dlt, as the docs show, and compare every sum with the account."""
    _install(session, "--group", "warehouse", "--editable", ".")
    # By name: of a folder, pytest takes the test_*.py alone, which the suite runs too.
    names = (
        "test_rows.py",
        "test_known_rows.py",
        "test_dlt_source.py",
        "test_accounts.py",
        "loads.py",
        "warehouses.py",
    )
    files = [str(TESTS / "warehouse" / name) for name in names]
    session.run("python", *PYTEST_ALL, *files, *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the sdist, from it the wheel (argument: a folder for both), and try the wheel in a fresh environment."""
    _install(session, "build", "hatchling")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", folder, silent=True)
        (wheel,) = Path(folder).glob("*.whl")
        for kept in session.posargs:
            shutil.copytree(folder, kept, dirs_exist_ok=True)
        session.run("python", "-m", "venv", f"{folder}/fresh")
        fresh = str(_python_of(Path(folder, "fresh")))
        pip = (fresh, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check")
        session.run(*pip, "install", "--constraint", str(CONSTRAINTS), str(wheel), external=True)
        for name in ("README.md", "scripts/tour.py"):
            shutil.copy(ROOT / name, folder)
        with session.chdir(folder):
            session.run(fresh, "-I", "-W", "error", "-c", _WHEEL_CHECK, external=True, log=False)
            session.run(fresh, "-I", "-W", "error", "tour.py", "README.md", external=True)


@nox.session
def wheel(session: nox.Session) -> None:
    """Run the client's tests on a built wheel, outside the source tree (argument: the folder of the wheel)."""
    (built,) = Path(*session.posargs).resolve().glob("*.whl")
    _install(session, "--group", "facade", str(built))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(TESTS, Path(folder, TESTS))
        shutil.copy(PYPROJECT_FILE, folder)
        with session.chdir(folder):
            session.run("python", *PYTEST_ALL, *TOOLS)


_DISTURBED_BY_COVERAGE = (  # it imports modules in each process that is started, and keeps files open in forked ones
    "cli/test_manners.py::test_start_imports_no_more_than_it_needs",
    "cli/test_manners.py::test_status_from_the_cache_imports_no_network",
    "csv/test_export_damage.py::test_lock_ends_with_its_process_though_a_forked_child_lives_on",
)


@nox.session(venv_backend="none")
def coverage(session: nox.Session) -> None:
    """Measure the line and branch coverage of the client's tests, and fail below the limit in pyproject.toml."""
    with tempfile.TemporaryDirectory() as folder:
        data = {"COVERAGE_FILE": str(Path(folder, "coverage"))}
        left_out = [f"--deselect={TESTS / test}" for test in _DISTURBED_BY_COVERAGE]
        _run(session, "-m", "coverage", "run", *PYTEST_ALL, *TOOLS, *left_out, *session.posargs, env=data)
        _run(session, "-m", "coverage", "combine", "--quiet", env=data)
        _run(session, "-m", "coverage", "report", env=data)


_WHEEL_CHECK = """
import importlib.metadata, importlib.resources, sys
import venice_billing, venice_billing_api

for package in (venice_billing, venice_billing_api):
    assert package.__file__.startswith(sys.prefix), f"{package.__name__} does not come from the wheel"
    assert importlib.resources.files(package).joinpath("py.typed").is_file(), f"{package.__name__} has no py.typed"
commands = importlib.metadata.distribution("venice-billing").entry_points.select(group="console_scripts")
assert [command.name for command in commands] == ["venice-billing"], f"commands: {commands}"
"""


def _python_of(environment: Path) -> Path:
    return environment / "Scripts" / "python.exe" if os.name == "nt" else environment / "bin" / "python"


def _run(
    session: nox.Session,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    success_codes: Sequence[int] = (0,),
) -> None:
    """Run the Python of .venv, after making or updating the environment."""
    session.run("bash", "scripts/_bootstrap.sh", "dev", external=True, log=False)
    session.run(str(VENV_PYTHON), *arguments, env=env, success_codes=success_codes, external=True)


def _install(session: nox.Session, *requirements: str, constraints: Path = CONSTRAINTS) -> None:
    """Install pinned requirements into the session's own environment, unless it already has them."""
    pins = PYPROJECT_FILE.read_bytes() + constraints.read_bytes()
    stamp = Path(session.virtualenv.location) / "stamp"
    current = hashlib.sha256(pins + repr((ROOT, requirements)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == current:
        return
    stamp.unlink(missing_ok=True)
    session.install("--quiet", "--upgrade", "--constraint", str(constraints), "pip")
    session.install("--quiet", "--constraint", str(constraints), "--build-constraint", str(CONSTRAINTS), *requirements)
    stamp.write_text(current)


def _output(arguments: list[str]) -> Path:
    """Return the folder that `--output` names, by default the project's."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--output="):
            return Path(argument.removeprefix("--output=")).resolve()
        if argument == "--output":
            return Path(arguments[index + 1]).resolve()
    return ROOT
