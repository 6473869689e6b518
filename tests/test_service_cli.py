from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import mlsdm

from mlsdm.service import server
from mlsdm.service.settings import PREFIX, Settings, described, load_settings


@pytest.fixture(autouse=True)
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Take the place of the server, and return what it was started with."""
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)
    settings: list[Settings] = []
    monkeypatch.setattr(server, "serve", settings.append)
    return settings


def test_serve_starts_with_the_settings_and_the_options_over_them(
    tmp_path: Path, served: list[Settings]
) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("prod: {port: 1, rate: {burst: 9}}")
    result = mlsdm("serve", "--config", file, "--profile", "prod", "--port", 0)
    assert (result.exit_code, result.stdout) == (0, "")
    assert [(one.port, one.rate.burst, one.logs.form) for one in served] == [(0, 9, "json")]


def test_the_printed_settings_can_be_a_file(tmp_path: Path, served: list[Settings]) -> None:
    result = mlsdm("serve", "--print-config", "--profile", "prod", "--port", 7)
    assert (result.exit_code, served) == (0, [])
    file = tmp_path / "service.yaml"
    file.write_text(result.stdout)
    settings = load_settings(file, "prod")
    assert settings == load_settings(profile="prod", port=7)
    assert described(settings, "prod") == result.stdout


def test_what_dev_prints_takes_nothing_from_prod(tmp_path: Path, served: list[Settings]) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(mlsdm("serve", "--print-config").stdout)
    assert mlsdm("serve", "--config", file, "--profile", "prod").exit_code == 0
    assert mlsdm("serve", "--config", file).exit_code == 0
    assert [settings.logs.form for settings in served] == ["json", "console"]


def test_a_new_key_is_printed_once_with_its_lines_for_the_file(
    tmp_path: Path, served: list[Settings]
) -> None:
    result = mlsdm("serve", "--new-key", "alice")
    key, _, lines = result.stdout.partition("\n")
    digest = sha256(key.encode()).hexdigest()
    assert yaml.safe_load(lines) == {"base": {"keys": [{"name": "alice", "sha256": digest}]}}
    file = tmp_path / "service.yaml"
    file.write_text(lines)
    assert mlsdm("serve", "--config", file, "--host", "0.0.0.0").exit_code == 0
    assert (served[0].host, served[0].keys[0].name) == ("0.0.0.0", "alice")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--host", "0.0.0.0"], "while there are no keys"),
        (["--profile", "prd"], "did you mean 'prod'?"),
        (["--config", "/no/such.yaml"], "/no/such.yaml: cannot be read"),
        (["--new-key", "a b"], "Key.name: must be 1 to 64 letters"),
        (["--port", "65536"], "--port"),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_starts(
    arguments: list[str], what: str, served: list[Settings]
) -> None:
    result = mlsdm("serve", *arguments)
    assert (result.exit_code, served) == (2, [])
    assert what in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, served: Any) -> None:
    monkeypatch.setenv(f"{PREFIX}PROT", "1")
    result = mlsdm("serve")
    assert (result.exit_code, served) == (2, [])
    assert "MLSDM_SERVICE_PROT: unknown variable; did you mean 'MLSDM_SERVICE_PORT'?" in (
        result.stderr
    )


@pytest.mark.parametrize("module", ["pydantic_settings", "litestar", "uvicorn"])
def test_without_the_extra_one_line_says_what_to_install(module: str) -> None:
    script = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['mlsdm', 'serve']; "
        "from mlsdm.cli import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr == f"mlsdm: {module}: is not installed; pip install 'mlsdm[service]'\n"


def test_help_names_the_command_and_loads_nothing_of_it() -> None:
    assert "serve" in mlsdm("--help").stdout
    script = (
        "import sys; from mlsdm.cli import app; from typer.testing import CliRunner; "
        "shown = CliRunner().invoke(app, ['serve', '--help']).stdout; "
        "print('--new-key' in shown, [m for m in ('mlsdm.service', 'uvicorn') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "True []\n"
