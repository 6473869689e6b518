from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlsdm.errors import DataError, ParameterError
from mlsdm.service import settings as module
from mlsdm.service.settings import PREFIX, PROFILES, Settings, described, is_loopback, load_settings
from mlsdm.service.values import Allowed

KEY = {"name": "alice", "sha256": "a" * 64}


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda **values: [monkeypatch.setenv(PREFIX + k, v) for k, v in values.items()]


def written(folder: Path, text: str) -> Path:
    path = folder / "service.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def said(**values: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        Settings(**values)
    return str(caught.value)


def test_defaults_are_those_that_are_stated() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.keys) == ("127.0.0.1", 8000, [])
    assert (settings.rate.per_second, settings.rate.burst) == (5.0, 5)
    assert (settings.bounds.connections, settings.bounds.body_bytes) == (4096, 1 << 20)
    assert (settings.sessions.awake_bytes, settings.sessions.each_bytes) == (1 << 30, 64 << 20)
    assert settings.sessions.folder.parts[-2:] == ("mlsdm", "sessions")
    assert (settings.drain_seconds, settings.traces.endpoint) == (30.0, None)


def test_profiles_differ_in_the_form_of_their_logs() -> None:
    assert [load_settings(profile=name).logs.form for name in PROFILES] == [
        "console",
        "json",
        "json",
    ]


def test_each_layer_lies_over_the_one_below(tmp_path: Path, environment: Any) -> None:
    file = written(
        tmp_path,
        "base: {port: 1, rate: {burst: 1, per_second: 1}}\n"
        "prod: {port: 2, rate: {burst: 2}}\n"
        "dev: {port: 3}\n",
    )
    assert load_settings(file, "staging").port == 1
    assert load_settings(file, "prod").port == 2
    assert load_settings(file).port == 3
    environment(PORT="4", RATE__PER_SECOND="0.5")
    settings = load_settings(file, "prod")
    assert (settings.port, settings.rate.burst, settings.rate.per_second) == (4, 2, 0.5)
    assert load_settings(file, "prod", port=5, host=None).port == 5


def test_file_and_profile_may_be_named_by_the_environment(tmp_path: Path, environment: Any) -> None:
    environment(CONFIG=str(written(tmp_path, "prod: {port: 2}")), PROFILE="prod")
    assert load_settings().port == 2
    assert load_settings(profile="dev").port == 8000


def test_a_variable_may_hold_a_size_a_switch_a_list_or_a_group(environment: Any) -> None:
    environment(
        BOUNDS__BODY_BYTES="2 MiB",
        LOGS__REQUESTS="false",
        RATE='{"burst": 7}',
        TRUSTED_PROXIES='["10.0.0.0/8"]',
        HOOKS__STARTUP='["os:getcwd"]',
    )
    settings = load_settings()
    assert (settings.bounds.body_bytes, settings.logs.requests) == (2 << 20, False)
    assert (settings.rate.burst, settings.trusted_proxies) == (7, ["10.0.0.0/8"])
    assert settings.hooks.startup == [os.getcwd]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("bas: {port: 1}", "line 1: bas: unknown key; did you mean 'base'?"),
        ("base:\n  prt: 1", "line 2: base.prt: unknown key; did you mean 'port'?"),
        (
            "base: {port: 1}\nprod:\n  rate:\n    brst: 9",
            "line 4: prod.rate.brst: unknown key; did you mean 'burst'?",
        ),
        ("base: {port: '1'}", "must be a whole number from 0 to 65535 (got '1')"),
        ("base: {port: true}", "must be a whole number from 0 to 65535 (got True)"),
        ("base: {rate: 3}", "line 1: base.rate: must be names with values (got 3)"),
        ("base:", "base: has no value"),
        ("- 1", "must be names with values"),
        ("prod: {keys: [{name: a}]}", "prod.keys.sha256: is missing"),
        ("prod: {keys: 3}", "prod.keys: must be a list of names with digests (got 3)"),
        ("prod: {hooks: {startup: [no name]}}", "each as 'package.module:name'"),
    ],
)
def test_what_is_wrong_in_any_profile_of_a_file_is_named(
    tmp_path: Path, text: str, what: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        load_settings(written(tmp_path, text), "dev")
    assert what in str(caught.value)
    assert str(caught.value).startswith("service.yaml")


@pytest.mark.parametrize("content", [b"base: {port: 1, port: 2}", b"base: {", b"\xff", None])
def test_a_file_that_is_no_plain_yaml_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "service.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"service\.yaml"):
        load_settings(path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "")) == load_settings()


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("RATES__BURST", "1", "unknown variable; did you mean 'MLSDM_SERVICE_RATE__BURST'?"),
        ("RATE__BRST", "1", "unknown variable; did you mean 'MLSDM_SERVICE_RATE__BURST'?"),
        ("RATE__BURST", "many", "must be a whole number from 1 to 1000000 (got 'many')"),
        ("PORT", "", "must be a whole number from 0 to 65535 (got '')"),
        ("RATE", "x", "must be JSON"),
        ("RATE", '{"brst": 1}', "unknown key; did you mean 'burst'?"),
        ("RATE", "3", "must be names with values (got 3)"),
        ("RATE", '{"burst": 0}', "must be a whole number from 1 to 1000000 (got 0)"),
        ("KEYS", '[{"name": "a"}]', "is missing"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(
    environment: Any, name: str, value: str, what: str
) -> None:
    environment(**{name: value})
    with pytest.raises(ParameterError) as caught:
        load_settings()
    line = str(caught.value)
    assert line.startswith(f"{PREFIX}{name}: ")
    assert line.endswith(what)


@pytest.mark.parametrize("name", ["prd", "", "x"])
def test_an_unknown_profile_is_refused(name: str, environment: Any) -> None:
    environment(PROFILE=name or "nope")
    with pytest.raises(ParameterError, match="profile: "):
        load_settings(profile=name)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])
def test_without_keys_only_this_machine_is_served(host: str) -> None:
    assert said(host=host).startswith("Settings.host: must be this machine's own")
    assert Settings(host=host, keys=[KEY]).host == host
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST"])
def test_this_machine_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    assert Settings(host=host).keys == []


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"portt": 1}, "Settings.portt: unknown key; did you mean 'port'?"),
        ({"tls": {"certificate": "a"}}, "Settings.tls: certificate and private_key must both"),
        ({"sessions": {"awake_bytes": 5}}, "Settings.sessions: each_bytes must not be above"),
        ({"keys": [KEY, KEY | {"name": "b"}]}, "Settings.keys: the same key is given twice"),
        ({"keys": [KEY | {"sha256": "A" * 64}]}, "Settings.keys.0.sha256: must be the 64"),
        ({"keys": [KEY | {"name": "a b"}]}, "Settings.keys.0.name: must be 1 to 64 letters"),
        ({"trusted_proxies": ["*"]}, "Settings.trusted_proxies: must be a list of IP addresses"),
        ({"rate": {"per_second": float("nan")}}, "Settings.rate.per_second: must be a number"),
        ({"drain_seconds": float("inf")}, "Settings.drain_seconds: must be a number of seconds"),
        ({"traces": {"endpoint": "file:///x"}}, "Settings.traces.endpoint: must be an address"),
        ({"hooks": {"startup": ["os:none"]}}, "cannot import name 'none' from 'os'"),
        ({"hooks": {"startup": ["os"]}}, "Settings.hooks.startup.0: cannot be imported: "),
        ({"hooks": {"startup": ["no.such:thing"]}}, "No module named 'no'"),
        ({"hooks": {"shutdown": [3]}}, "Settings.hooks.shutdown.0: cannot be imported: "),
    ],
)
def test_each_value_that_is_not_allowed_is_one_sentence(values: dict[str, Any], what: str) -> None:
    line = said(**values)
    assert what in line
    assert "\n" not in line


def test_a_client_may_have_two_keys() -> None:
    assert len(Settings(keys=[KEY, KEY | {"sha256": "b" * 64}]).keys) == 2


def test_a_hook_whose_module_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_hooks.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    assert "ZeroDivisionError" in said(hooks={"startup": ["failing_hooks:start"]})
    prod = written(tmp_path, "prod: {hooks: {startup: ['failing_hooks:start']}}")
    assert load_settings(prod, "dev").hooks.startup == []  # not its business
    with pytest.raises(ParameterError, match="ZeroDivisionError"):
        load_settings(prod, "prod")


def test_settings_made_in_python_take_groups_and_do_not_read_the_environment(
    environment: Any,
) -> None:
    environment(PORT="4")
    settings = Settings(rate=module.Rate(per_second=0))
    assert (settings.port, settings.rate.per_second) == (8000, 0)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 9  # type: ignore[misc]


wait = st.floats(0.001, 3600)
many = st.integers(1, 10**6)
size = st.integers(1, 2**40)
anything = st.fixed_dictionaries(
    {},
    optional={
        "host": st.sampled_from(["127.0.0.1", "::1", "localhost", "0.0.0.0", "on", "1e5"]),
        "port": st.integers(0, 65535),
        "tls": st.just({"certificate": "a: #b.pem", "private_key": "null"}),
        "trusted_proxies": st.lists(st.ip_addresses().map(str), max_size=3),
        "rate": st.fixed_dictionaries({"per_second": st.floats(0, 10**6), "burst": many}),
        "bounds": st.fixed_dictionaries(
            {"connections": many, "idle_seconds": wait, "body_bytes": size}
        ),
        "sessions": st.fixed_dictionaries({"awake": many, "snapshot_seconds": wait}),
        "drain_seconds": wait,
        "logs": st.fixed_dictionaries(
            {"level": st.sampled_from(["debug", "error"]), "requests": st.booleans()}
        ),
        "traces": st.just({"endpoint": "http://127.0.0.1:4318"}),
        "hooks": st.just({"startup": ["os:getcwd"], "shutdown": ["os.path:join"]}),
    },
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(anything, st.sampled_from(PROFILES))
def test_settings_that_are_printed_read_back_as_the_same(
    tmp_path: Path, values: dict[str, Any], profile: str
) -> None:
    settings = Settings(keys=[KEY], **values)
    assert load_settings(written(tmp_path, described(settings, profile)), profile) == settings


def test_every_setting_is_printed_with_what_it_is_for_and_what_it_may_be() -> None:
    lines = described(Settings()).splitlines()
    for place in module._leaves(module.Values):
        at = next(i for i, line in enumerate(lines) if line.strip(" #").startswith(f"{place[-1]}:"))
        assert lines[at - 1].strip().startswith("# ")
    assert max(map(len, lines)) <= 98
    assert "  # The port; 0 for any free one. Must be a whole number from 0 to 65535." in lines


def test_every_setting_that_is_no_group_says_what_is_allowed() -> None:
    groups = {place[0] for place in module._leaves(module.Values) if len(place) > 1}
    for name, field in module.Values.model_fields.items():
        if name in groups:
            assert isinstance(field.annotation, type)
            fields = field.annotation.model_fields  # type: ignore[attr-defined]
        else:
            fields = {name: field}
        for inner, one in fields.items():
            marks = [mark for mark in module._marks(one) if isinstance(mark, Allowed)]
            assert marks, inner
            assert one.description, inner
