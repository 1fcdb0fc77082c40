"""The options of each server that the scenarios ask for; ``reference/profiles.mjs`` says the same for the official one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from examples.json_parser import JsonParser
from socketeer import Cookie, Cors, PerMessageDeflate, Recovery

HERE = Path(__file__).parent


def _cors(origin: Any, **more: Any) -> dict[str, Any]:
    return {"cors": Cors(origin=origin, methods=["GET", "POST"], **more)}


def _deflate(**both: Any) -> PerMessageDeflate:
    """The same for both directions."""
    return PerMessageDeflate(
        **{f"{side}_{key}": value for side in ("server", "client") for key, value in both.items()}
    )


async def _cors_by_query(request: Any) -> Any:
    if "fail" in request.query:
        raise LookupError("of the function")
    if "open" in request.query:
        return {"origin": "*"}
    return Cors(origin="http://localhost:5174", credentials=True)


def _by_ticket(request: Any) -> bool | str:
    ticket = request.query.get("ticket")
    if ticket == "expired":
        return "the ticket has expired"
    return bool(ticket == "valid")


PROFILES: dict[str, dict[str, Any]] = {
    "default": {},
    "heartbeat": {"ping_interval": 0.15, "ping_timeout": 0.25},
    "limits": {"max_http_buffer_size": 10_000, "connect_timeout": 0.3, "upgrade_timeout": 0.3},
    "cookie": {
        "cookie": Cookie(name="io", path="/", http_only=True, same_site="lax", max_age=3600, secure=True)
    },
    "cookie_rare": {
        "cookie": Cookie(
            expires=datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
            partitioned=True,
            priority="medium",
            encode=lambda sid: f"node-1.{sid}",
        )
    },
    # With the slash that people copy from the address bar: it must work as without.
    "cors": _cors("http://localhost:5174/", credentials=True),
    "cors_list": _cors(
        ["http://one.example", "http://two.example"],
        allowed_headers=["x-first", "x-second"],
        exposed_headers=["x-shown"],
        max_age=600,
    ),
    "cors_status": _cors("http://localhost:5174", options_success_status=200),
    "cors_pattern": _cors(re.compile(r"^https://[a-z]+\.example$")),
    "cors_callable": _cors(lambda origin: origin == "http://asked.example"),
    "cors_function": {"cors": _cors_by_query},
    "cors_any": {"cors": Cors(origin="*")},
    "guarded": {"allow_request": _by_ticket},
    "path": {"path": "/deep/er/socket"},
    "polling_only": {"transports": ["polling"]},
    "websocket_only": {"transports": ["websocket"]},
    "no_upgrades": {"allow_upgrades": False},
    "dynamic": {},
    "dynamic_cleanup": {"cleanup_empty_child_namespaces": True},
    "deflate": {"per_message_deflate": True},
    "deflate_alone": {"per_message_deflate": _deflate(no_context_takeover=True)},
    "deflate_context": {"per_message_deflate": _deflate(no_context_takeover=False)},
    "deflate_small": {"per_message_deflate": _deflate(no_context_takeover=False, max_window_bits=8)},
    "msgpack": {"parser": "msgpack"},
    "json": {"parser": JsonParser()},
    "recovery": {"connection_state_recovery": True},
    "recovery_checked": {"connection_state_recovery": Recovery(skip_middlewares=False)},
    "recovery_short": {"connection_state_recovery": {"max_disconnection_duration": 0.25}},
    "uncompressed": {"http_compression": False},
    "eio3": {"allow_eio3": True},
    "eio3_page": {"allow_eio3": True, **_cors(re.compile(r"^http://localhost:[0-9]+$"))},
    "eio3_heartbeat": {"allow_eio3": True, "ping_interval": 0.15, "ping_timeout": 0.25},
    "client_files": {"serve_client": HERE / "node_modules" / "socket.io" / "client-dist"},
    "client_files_cors": {
        "serve_client": HERE / "node_modules" / "socket.io" / "client-dist",
        **_cors("http://localhost:5174", credentials=True),
    },
    "hooks": {},
    "no_client_files": {"serve_client": False},
    "no_slash": {"add_trailing_slash": False},
    "initial_packet": {"initial_packet": '2["first"]'},
}
