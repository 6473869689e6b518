"""Where a result comes from: code, notebook, seed, versions and machine."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mlsdm.errors import DataError

__all__ = [
    "SOURCE",
    "THREAD_CAPS",
    "Provenance",
    "code_sha256",
    "collect",
    "cpu_model",
    "file_sha256",
]

SOURCE = "mlflow.source.name"  # the tag of the notebook's path
THREAD_CAPS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
MOST_DIFF = 200_000  # characters
MOST_UNTRACKED = 200
GIT_SECONDS = 30.0


@dataclass(frozen=True)
class Provenance:
    """What is needed to run a notebook again, and to see what differs where it gives other results.

    `notes` says in words what could not be found out, or was cut.
    """

    notebook: str
    notebook_sha256: str
    data_sha256: str
    seed: int | None
    commit: str
    dirty: bool
    diff: str
    untracked: tuple[str, ...]
    notes: tuple[str, ...]
    version: str
    code_sha256: str
    python: str
    platform: str
    cpu: str
    cores: int | None
    thread_caps: dict[str, str | None]
    packages: dict[str, str]

    def tags(self) -> dict[str, str]:
        """Return the short facts as MLflow tags, under MLflow's own names where it has them."""
        tags = {
            SOURCE: self.notebook,
            "mlflow.source.type": "NOTEBOOK",
            "mlsdm.notebook_sha256": self.notebook_sha256,
            "mlsdm.version": self.version,
            "mlsdm.code_sha256": self.code_sha256,
            "mlsdm.python": self.python,
            "mlsdm.platform": self.platform,
            "mlsdm.cpu": self.cpu,
        }
        if self.data_sha256:
            tags["mlsdm.data_sha256"] = self.data_sha256
        if self.seed is not None:
            tags["mlsdm.seed"] = str(self.seed)
        if self.commit:
            tags["mlflow.source.git.commit"] = self.commit
            tags["mlsdm.dirty"] = str(self.dirty).lower()
        if self.notes:
            tags["mlsdm.provenance_notes"] = "; ".join(self.notes)
        return tags

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON."""
        return dataclasses.asdict(self)


def collect(
    notebook: Path, project: Path, seed: int | None, data: Path | None = None
) -> Provenance:
    """Find out what a run of `notebook` depends on, and of the file `data` if it reads one.

    Of the environment only the thread caps are read, and of files only what git tracks within the
    project: neither holds secrets.

    Raises
    ------
    DataError
        When the notebook or the data cannot be read.
    """
    inside = notebook.resolve().is_relative_to(project.resolve())
    return Provenance(
        notebook=(
            notebook.resolve().relative_to(project.resolve()).as_posix()
            if inside
            else notebook.name
        ),
        notebook_sha256=file_sha256("notebook", notebook),
        data_sha256="" if data is None else file_sha256("data", data),
        seed=seed,
        **_git_state(project),
        version=sys.modules["mlsdm"].__version__,  # of the code that runs, installed or not
        code_sha256=code_sha256(),
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=os.cpu_count(),
        thread_caps={name: os.environ.get(name) for name in THREAD_CAPS},
        packages=_packages(),
    )


def file_sha256(name: str, path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises
    ------
    DataError
        When it cannot be read; `name` begins the sentence.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{name}: {path} cannot be read: {error.strerror}") from None


class _NoGitError(Exception):
    """Git cannot say; the message is a note for the reader."""


def _git(folder: Path, *arguments: str) -> str:
    # Variables such as GIT_DIR, set inside a git hook, would point at another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=True,
        )
    except FileNotFoundError:
        raise _NoGitError("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise _NoGitError(f"git did not answer within {GIT_SECONDS:g} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise _NoGitError(said[0] if said else "git failed") from None
    return done.stdout.decode(errors="replace")


def _git_state(project: Path) -> dict[str, Any]:
    state: dict[str, Any] = {"commit": "", "dirty": False, "diff": "", "untracked": ()}
    notes = []
    try:
        listed = _git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
        names = listed.split("\0")[:-1]
        state |= {"dirty": True, "untracked": tuple(names[:MOST_UNTRACKED])}
        if len(names) > MOST_UNTRACKED:
            notes.append(f"{len(names) - MOST_UNTRACKED} more untracked files are not named")
        commit = _git(project, "rev-parse", "--verify", "HEAD^{commit}").strip()
        options = ("--no-ext-diff", "--no-textconv", "--no-color", "HEAD", "--", ".")
        diff = _git(project, "diff", *options)
        state |= {"commit": commit, "dirty": bool(diff or names), "diff": diff[:MOST_DIFF]}
        if len(diff) > MOST_DIFF:
            notes.append(f"the diff is cut to {MOST_DIFF} of {len(diff)} characters")
    except _NoGitError as error:
        notes.append(f"no commit: {error}")
    return {**state, "notes": tuple(notes)}


@cache
def code_sha256() -> str:
    """Return a digest of the package's own code and data, as it was when first asked for."""
    return _code_sha256(Path(__file__).parent)


def _code_sha256(package: Path) -> str:
    digest = hashlib.sha256()
    files = [path for path in package.rglob("*") if path.suffix in (".py", ".toml")]
    for path in sorted(files):
        content = path.read_bytes()
        head = f"{path.relative_to(package).as_posix()}\0{len(content)}\0"
        digest.update(head.encode() + content)
    return digest.hexdigest()


def cpu_model() -> str:
    """Return what the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _packages() -> dict[str, str]:
    found = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))
