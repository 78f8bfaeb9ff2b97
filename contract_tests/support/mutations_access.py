"""Mutations of how operations are reached: servers, paths, authentication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from contract_tests.support.mutations_edits import also, append, drop, put, rename
from contract_tests.support.mutations_places import ANALYTICS_CALL, BALANCE_CALL, HISTORY_CALL, USAGE_CALL

if TYPE_CHECKING:
    from contract_tests.support.mutations_edits import Edit

_SERVER = "https://api.venice.ai/api/v1"
_OTHER = "https://eu.venice.ai/api/v1"


def _server(host: dict[str, Any]) -> dict[str, Any]:
    return {"url": "https://{host}/api/v1", "variables": {"host": host}}


_BREAKING: dict[str, Edit] = {
    "server over plain http": put("servers 0 url", "http://api.venice.ai/api/v1"),
    "server on another port": put("servers 0 url", "https://api.venice.ai:8443/api/v1"),
    "server variable with another default": put("servers", [_server({"default": "eu.venice.ai"})]),
    "server replaced for one operation": put(f"{HISTORY_CALL} servers", [{"url": _OTHER}]),
    "server replaced for one path": put("paths /billing/usage servers", [{"url": _OTHER}]),
    "path with a trailing slash": rename("paths /billing/balance", "/billing/balance/"),
    "path in other case": rename("paths /billing/usage-history", "/billing/usage-History"),
    "second scheme demanded beside the key": also(
        put("components securitySchemes Other", {"type": "apiKey", "in": "header", "name": "X-Other"}),
        put("security", [{"BearerAuth": [], "Other": []}]),
    ),
    "authentication of one operation by query": also(
        put("components securitySchemes Other", {"type": "apiKey", "in": "query", "name": "key"}),
        put(f"{ANALYTICS_CALL} security", [{"Other": []}]),
    ),
}

_COMPATIBLE: dict[str, Edit] = {
    "second server": append("servers", {"url": _OTHER}),
    "second server as the default": put("servers", [{"url": _OTHER}, {"url": _SERVER}]),
    "server variable": put("servers", [_server({"default": "api.venice.ai"})]),
    "server variable with choices": put(
        "servers", [_server({"default": "api.venice.ai", "enum": ["api.venice.ai", "eu.venice.ai"]})]
    ),
    "server choice among variables, default elsewhere": put(
        "servers", [_server({"default": "eu.venice.ai", "enum": ["api.venice.ai", "eu.venice.ai"]})]
    ),
    "second server for one operation": put(f"{HISTORY_CALL} servers", [{"url": _SERVER}, {"url": _OTHER}]),
    "servers no longer named": drop("servers"),
    "operation renamed": put(f"{BALANCE_CALL} operationId", "readBalance"),
    "key made optional": append("security", {}),
}

_COSMETIC: dict[str, Edit] = {
    "server with a trailing slash": put("servers 0 url", f"{_SERVER}/"),
    "server described": put("servers 0 description", "Production"),
    "server with its default port": put("servers 0 url", "https://api.venice.ai:443/api/v1"),
    "server in capitals": put("servers 0 url", "https://API.Venice.ai/api/v1"),
    "server said again at an operation": put(f"{USAGE_CALL} servers", [{"url": _SERVER}]),
    "version moved from the server to the paths": also(
        put("servers 0 url", "https://api.venice.ai"),
        *(
            rename(f"paths /billing/{name}", f"/api/v1/billing/{name}")
            for name in ("balance", "usage", "usage-analytics", "usage-history")
        ),
    ),
    "bearer in capitals": put("components securitySchemes BearerAuth scheme", "Bearer"),
    "scheme described": put("components securitySchemes BearerAuth description", "An admin key"),
    "authentication said again at an operation": put(f"{BALANCE_CALL} security", [{"BearerAuth": []}]),
}

ACCESS: tuple[tuple[Literal["breaking", "compatible", "cosmetic"], dict[str, Edit]], ...] = (
    ("breaking", _BREAKING),
    ("compatible", _COMPATIBLE),
    ("cosmetic", _COSMETIC),
)
