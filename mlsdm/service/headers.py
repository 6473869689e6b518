"""The headers that every answer has."""

from __future__ import annotations

import re
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

__all__ = ["is_request_id", "secured"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def is_request_id(given: str) -> bool:
    """Return whether a caller's request id is taken over."""
    return _REQUEST_ID.fullmatch(given) is not None


def secured(app: Any) -> Any:
    """Add the headers that OWASP recommends for an API; over TLS that it is to stay so."""
    plain: dict[str, Any] = {
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
    hsts = StrictTransportSecurity().max_age(63_072_000).include_subdomains()
    # Made once: `secure.middleware` would make them anew for every answer.
    http, https = _encoded(Secure(**plain)), _encoded(Secure(**plain, hsts=hsts))

    async def headed(scope: Any, receive: Any, send: Any) -> None:
        added = https if scope.get("scheme") == "https" else http

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await app(scope, receive, send_with_headers)

    return headed


def _encoded(secure: Secure) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in secure.headers.items()]
