"""The service beside what its OpenAPI document says, as schemathesis asks it."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest
from scripting import running
from serving import settings
from support import uncovered

CHECKS = """
[checks]
# What cannot be said in a schema, such as the length of this session's vectors, is a 422.
positive_data_acceptance.expected-statuses = [200, 201, 204, 404, 422]
# To OPTIONS, which is not in the document, Litestar 2.25 names the first method of a path only.
allow_header_conformance.enabled = false
"""
SESSION = """
[parameters]
"path.session_id" = "{}"

[[operations]]
include-name = "DELETE /v1/sessions/{{session_id}}"
parameters = {{ "path.session_id" = "{}" }}
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    bounds = {"most": 10**6, "per_client": 10**6, "awake": 64}
    logs = {"requests": False, "level": "error"}
    folder = tmp_path_factory.mktemp("sessions")
    with running(settings(folder, sessions=bounds, logs=logs)) as address:
        yield address


def begun(address):
    params = {"dim": 1, "lattice": {"capacity": 20}}  # the length of many a vector made at random
    answer = httpx.post(f"{address}/v1/sessions", json={"params": params})
    assert answer.status_code == 201
    return answer.json()["id"]


def asked(address, folder, phases, examples):
    """Let schemathesis ask everything, and return what it found."""
    config = folder / "schemathesis.toml"
    # What it links together is about sessions that it has made itself.
    known = "" if phases == "stateful" else SESSION.format(begun(address), begun(address))
    config.write_text(known + CHECKS, encoding="utf-8")
    start = "from schemathesis.cli import schemathesis; schemathesis()"
    command = [sys.executable, "-c", start, "--config-file", str(config), "run", "--no-color"]
    command += [
        "--phases",
        phases,
        "-n",
        str(examples),
        "--generation-deterministic",
        "--no-shrink",
    ]
    command += [f"{address}/schema/openapi.json"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=uncovered(), timeout=1500
    )
    return done.returncode, done.stdout + done.stderr


PHASES = ["examples,coverage,fuzzing", "stateful"]


@pytest.mark.parametrize("phases", PHASES)
def test_the_service_does_what_its_document_says(address, tmp_path, phases):
    code, said = asked(address, tmp_path, phases, 5)
    assert code == 0, said
    assert "15 selected / 15 total" in said


@pytest.mark.long
@pytest.mark.parametrize("phases", PHASES)
def test_the_service_does_what_its_document_says_however_often_it_is_asked(
    address, tmp_path, phases
):
    code, said = asked(address, tmp_path, phases, 500)
    assert code == 0, said
