"""The typed parameters of a notebook: read from its tagged cell, never by running it."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, Literal, get_args

from mlsdm.errors import DataError, ParameterError, nearest
from mlsdm.plan.parameter import Parameter, Range

__all__ = ["Schema", "read_schema"]

TAG = "parameters"
_REGISTERED = re.compile(r"""moral_policy\(\s*["']([^"']+)["']""")
_SCALARS: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "dict": dict}
_LISTS: dict[str, Any] = {"int": list[int], "float": list[float], "str": list[str]}
_TYPES = "int, float, str, bool, dict, list[int], list[float], list[str], Literal[...], or X | None"


def _type(node: ast.expr) -> Any:
    """Build a type from an annotation without evaluating it; ValueError for one not allowed."""
    match node:
        case ast.Name(id=name) if name in _SCALARS:
            return _SCALARS[name]
        case ast.Subscript(value=ast.Name(id="list"), slice=ast.Name(id=name)) if name in _LISTS:
            return _LISTS[name]
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            choices = ast.literal_eval(inner)
            choices = choices if isinstance(choices, tuple) else (choices,)
            if choices and all(isinstance(choice, (str, int)) for choice in choices):
                return Literal[choices]
    raise ValueError(ast.unparse(node))


def _declared(statement: ast.stmt, comments: Mapping[int, str]) -> Parameter | None:
    """Return the parameter that a statement declares; ValueError says what is wrong with it."""
    match statement:
        case ast.ImportFrom(module="typing") | ast.Expr(value=ast.Constant(value=str())):
            return None
        case ast.AnnAssign(
            target=ast.Name(id=name), annotation=declared, value=ast.expr() as given
        ):
            pass
        case _:
            raise ValueError(f"must be 'name: type = literal' (got {ast.unparse(statement)!r})")
    match declared:
        case ast.BinOp(left=inner, op=ast.BitOr(), right=ast.Constant(value=None)):
            optional = True
        case inner:
            optional = False
    annotation = ast.unparse(declared)
    try:
        kind = _type(inner)
    except ValueError:
        raise ValueError(f"the type of {name!r} must be {_TYPES} (got {annotation})") from None
    try:
        default = ast.literal_eval(given)
    except ValueError:
        got = ast.unparse(given)
        raise ValueError(f"the default of {name!r} must be a literal (got {got})") from None
    comment = comments.get(statement.end_lineno or statement.lineno, "")
    numeric = kind in (int, float, list[int], list[float])
    try:
        limits = Range.read(comment) if numeric else None
    except ValueError as error:
        raise ValueError(f"the range of {name!r} {error}") from None
    line = statement.lineno
    parameter = Parameter(name, annotation, kind, optional, default, comment, limits, line)
    if not parameter.admits(default):
        got = shortened(default)
        raise ValueError(f"the default of {name!r} must be {parameter.allowed} (got {got})")
    return parameter


@dataclass(frozen=True)
class Schema:
    """The parameters of one notebook, in the order of its cell.

    `policies` are the names of the policies that the notebook itself registers.
    """

    notebook: str
    parameters: dict[str, Parameter]
    policies: frozenset[str] = frozenset()

    @property
    def defaults(self) -> dict[str, Any]:
        """The value of every parameter as the notebook has it."""
        return {name: deepcopy(p.default) for name, p in self.parameters.items()}

    def find(self, name: object) -> Parameter:
        """Return the parameter of that name.

        Raises
        ------
        ParameterError
            When there is none.
        """
        if isinstance(name, str) and name in self.parameters:
            return self.parameters[name]
        tail = nearest(str(name), self.parameters) if self.parameters else "; it has none"
        raise ParameterError(f"{self.notebook}.{name}: unknown parameter{tail}")

    def validate(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Return the full set of parameters: the defaults, with `values` in their places.

        Raises
        ------
        ParameterError
            For an unknown name, a wrong type, or a value outside the choices or the range.
        """
        for name, value in values.items():
            parameter = self.find(name)
            if not parameter.admits(value):
                choices = [choice for choice in get_args(parameter.type) if type(choice) is str]
                raise ParameterError(
                    f"{self.notebook}.{name}: must be {parameter.allowed} "
                    f"(got {shortened(value)}; line {parameter.line} of the parameters cell)"
                    f"{nearest(value, choices) if choices and isinstance(value, str) else ''}"
                )
        return {**self.defaults, **deepcopy(dict(values))}

    def differing(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Return those of `values` that are not what the notebook has anyway."""
        return {k: v for k, v in values.items() if v != self.find(k).default}

    def parse(self, assignments: Iterable[str]) -> dict[str, Any]:
        """Read ``name=value`` texts by the declared types: 7 stays text for a `str`.

        Raises
        ------
        ParameterError
            For a text without ``=``, a name unknown or given twice, or a value not allowed.
        """
        values: dict[str, Any] = {}
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise ParameterError(f"{self.notebook}: {assignment!r} must be written name=value")
            if name in values:
                raise ParameterError(f"{self.notebook}.{name}: is given twice")
            values[name] = self.find(name).read(text)
        self.validate(values)
        return values


def read_schema(notebook: Path) -> Schema:
    """Return the parameters that the cell tagged ``parameters`` declares; without one, none.

    Raises
    ------
    DataError
        When the file is not a notebook, or the cell holds anything but annotated literals.
    """
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [cell for cell in cells if TAG in cell["metadata"].get("tags", [])]
        sources = ["".join(cell["source"]) for cell in tagged]
        code = "".join("".join(c["source"]) for c in cells if c.get("cell_type") == "code")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{notebook}: is not a notebook that can be read ({error})") from None
    if len(sources) > 1:
        raise DataError(f"{notebook.name}: must have one cell tagged {TAG!r} (got {len(sources)})")
    source = "".join(sources)
    parameters: dict[str, Parameter] = {}
    line: int | None = 1
    try:
        statements = ast.parse(source).body
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
        for statement in statements:
            line = statement.lineno
            parameter = _declared(statement, comments)
            if parameter and parameter.name in parameters:
                raise ValueError(f"{parameter.name!r} is declared twice")
            if parameter:
                parameters[parameter.name] = parameter
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError):
            line = error.lineno
        problem = error.msg if isinstance(error, SyntaxError) else error
        where = f"line {line} of the parameters cell"
        raise DataError(f"{notebook.name}: {where}: {problem}") from None
    return Schema(notebook.stem, parameters, frozenset(_REGISTERED.findall(code)))
