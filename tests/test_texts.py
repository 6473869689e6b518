from __future__ import annotations

import importlib

import pytest

from mlsdm.errors import DataError
from mlsdm.streams.texts import text_extra


@pytest.mark.parametrize("missing", ["nosuchpackage", "nosuchpackage.part"])
def test_a_package_that_is_not_there_is_not_installed(missing: str) -> None:
    for package, module in (("nosuchpackage", None), ("no-such-package", "nosuchpackage")):
        with (
            pytest.raises(DataError, match=rf"^{package}: is not installed; pip install mlsdm"),
            text_extra(package, module),
        ):
            importlib.import_module(missing)


@pytest.mark.parametrize(
    "reason",
    [
        ModuleNotFoundError("No module named 'requests'", name="requests"),
        ImportError("libgomp.so.1: cannot open shared object file", name="sklearn"),
        ImportError("a broken package"),
    ],
)
def test_a_package_that_is_there_but_broken_says_why(reason: ImportError) -> None:
    with (
        pytest.raises(DataError) as refused,
        text_extra("scikit-learn", "sklearn"),
    ):
        raise reason
    assert str(refused.value) == f"scikit-learn: cannot be imported: {reason}"
    assert refused.value.__cause__ is reason
