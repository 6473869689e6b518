"""The headers that every answer has."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from secure import (
    CacheControl,
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    Secure,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
    XPermittedCrossDomainPolicies,
)  # fmt: skip

__all__ = ["is_request_id", "secured", "security"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def is_request_id(given: str) -> bool:
    """Return whether a caller's request id is taken over."""
    return _REQUEST_ID.fullmatch(given) is not None


@cache  # `secure.middleware` would make them anew for every answer
def security(scheme: str) -> list[tuple[bytes, bytes]]:
    """Return the headers that OWASP recommends for an API; over https that it is to stay so."""
    chosen: dict[str, Any] = {
        "cache": CacheControl().no_store(),
        "coop": CrossOriginOpenerPolicy().same_origin(),
        "corp": CrossOriginResourcePolicy().same_origin(),
        "csp": ContentSecurityPolicy().default_src("'none'").frame_ancestors("'none'"),
        "permissions": PermissionsPolicy().geolocation().microphone().camera(),
        "referrer": ReferrerPolicy().no_referrer(),
        "xcto": XContentTypeOptions().nosniff(),
        "xfo": XFrameOptions().deny(),
        "xpcdp": XPermittedCrossDomainPolicies().none(),
    }
    if scheme == "https":
        chosen["hsts"] = StrictTransportSecurity().max_age(63_072_000).include_subdomains()
    headers = Secure(**chosen).headers.items()
    return [(name.lower().encode(), value.encode()) for name, value in headers]


def secured(app: Any) -> Any:
    """Add the headers of `security` to all answers of an application."""

    async def headed(scope: Any, receive: Any, send: Any) -> None:
        added = security("https" if scope.get("scheme") == "https" else "http")

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await app(scope, receive, send_with_headers)

    return headed
