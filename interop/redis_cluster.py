"""Our adapters over Redis, by what the official ones are called in reference/engines.mjs."""

from __future__ import annotations

from typing import Any

from socketeer.adapters import RedisAdapter, RedisStreamsAdapter, ShardedRedisAdapter

CLASSIC = ("classic", "classic-specific")
STREAMS = ("streams", "streams-sharded")
MODES = (*CLASSIC, "static", "dynamic", "dynamic-private", *STREAMS)


def adapter_for(mode: str, url: str, key: str) -> Any:
    """An adapter as the official one of a mode, with all its names beginning with ``key``."""
    if mode in CLASSIC:
        return RedisAdapter(url, key, publish_on_specific_response_channel=mode == "classic-specific")
    if mode in STREAMS or mode == "recovery":
        return RedisStreamsAdapter(
            url,
            key,
            channel_prefix=key,
            session_key_prefix=f"{key}:session:",
            use_sharded_pub_sub=mode == "streams-sharded",
        )
    return ShardedRedisAdapter(url, key, mode)
