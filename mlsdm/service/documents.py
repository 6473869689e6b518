"""What OpenAPI says beyond the signatures of the endpoints: bodies, examples and refusals."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar.openapi.spec import (
    Example,
    OpenAPI,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)  # fmt: skip
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from prometheus_client.exposition import CONTENT_TYPE_LATEST as METRICS

from mlsdm.service.edge import OPEN
from mlsdm.service.messages import BINARY, Created, Event, EventBatch, RecallRequest
from mlsdm.service.problems import MEDIA_TYPE, ProblemDocument

__all__ = ["document"]

_EVENT = {"vector": [0.12, -0.5, 0.86], "moral_value": 0.8}
_ASKED: dict[str, tuple[list[type], dict[str, Any]]] = {
    "/v1/sessions": (
        [Created],
        {
            "the specification": {"params": {"dim": 3}},
            "the released code": {
                "preset": "published",
                "params": {"dim": 3, "moral": {"target_rate": 0.7}},
            },
        },
    ),
    "/v1/sessions/{session_id}/events": (
        [Event, EventBatch],
        {
            "one event": _EVENT,
            "a batch": {
                "events": [_EVENT, {"vector": [0.9, 0.1, 0.0], "moral_value": 0.3, "context": 0.4}]
            },
        },
    ),
    "/v1/sessions/{session_id}/recall": (
        [RecallRequest],
        {"the nearest two": {"vector": [0.12, -0.5, 0.86], "top_k": 2}},
    ),
}
_REFUSALS = {  # what is said, and of which endpoints: see `_kinds`; "" for all
    "400": ("The request is malformed, or a key stands in its address.", ""),
    "401": ("There is no key, or it is not known.", "closed"),
    "403": ("The Host is not this machine.", ""),
    "404": ("There is no such session, or it is another client's.", "one"),
    "408": ("The request did not come in time.", ""),
    "409": ("There are as many sessions as are allowed.", "beginning"),
    "413": ("The body is too large.", ""),
    "415": ("The body is of another media type, or packed.", ""),
    "422": ("A field is not as it must be; `errors` names it.", "sessions"),
    "429": ("There were too many requests.", "closed"),
    "500": ("The service failed.", ""),
    "503": ("The service is not ready.", ""),
    "507": ("The session's files cannot be read or written.", "sessions"),
}


def document(openapi: OpenAPI) -> None:
    """Add to what was made from the endpoints what they read and refuse by themselves."""
    asked = [kind for kinds, _ in _ASKED.values() for kind in kinds]
    _, schemas = msgspec.json.schema_components(
        [*asked, ProblemDocument], ref_template="#/components/schemas/{name}"
    )
    assert openapi.components.schemas is not None
    openapi.components.schemas.update(schemas)
    _correct(openapi)
    for path, item in (openapi.paths or {}).items():
        for method in ("get", "post", "delete"):
            operation = getattr(item, method)
            if operation is not None:
                _add_refusals(operation, _kinds(path, method))
        if path in _ASKED:
            kinds, examples = _ASKED[path]
            assert item.post is not None
            item.post.request_body = _body(kinds, examples)


def _correct(openapi: OpenAPI) -> None:
    """Say of two answers that are no JSON what they are."""
    paths = openapi.paths or {}
    text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
    for path, media_type in (
        ("/health/metrics", METRICS),
        ("/v1/sessions/{session_id}/snapshot", "application/octet-stream"),
    ):
        operation = paths[path].get
        assert operation is not None
        assert operation.responses is not None
        operation.responses["200"] = OpenAPIResponse("As said above.", None, {media_type: text})


def _kinds(path: str, method: str) -> set[str]:
    """Return which refusals there are besides those that may be anywhere."""
    kinds = set() if path in OPEN else {"closed"}
    if path.startswith("/v1"):
        kinds.add("sessions")
        kinds |= {"one"} if "{" in path else {"beginning"} if method == "post" else set()
    return kinds


def _add_refusals(operation: Operation, kinds: set[str]) -> None:
    content = {MEDIA_TYPE: OpenAPIMediaType(schema=_reference(ProblemDocument))}
    wait = Schema(type=OpenAPIType.INTEGER, minimum=1)
    retry = OpenAPIHeader(description="For how many seconds to wait.", schema=wait)
    assert operation.responses is not None
    for status, (description, where) in _REFUSALS.items():
        if where and where not in kinds:
            continue
        headers: Any = {"Retry-After": retry} if status in ("429", "503") else None
        operation.responses[status] = OpenAPIResponse(description, headers, content)


def _reference(kind: type) -> Reference:
    return Reference(ref=f"#/components/schemas/{kind.__name__}")


def _body(kinds: list[type], examples: dict[str, Any]) -> RequestBody:
    schemas = [_reference(kind) for kind in kinds]
    content = {
        "application/json": OpenAPIMediaType(
            schema=schemas[0] if len(schemas) == 1 else Schema(one_of=schemas),
            examples={name: Example(value=value) for name, value in examples.items()},
        )
    }
    if Event in kinds:
        rows = Schema(
            type=OpenAPIType.STRING,
            format=OpenAPIFormat.BINARY,
            description="Rows of float64 moral value, float64 context and float32 × dim vector, "
            "little-endian, one an event.",
        )
        content[BINARY] = OpenAPIMediaType(schema=rows)
    return RequestBody(content, required=Created not in kinds)
