"""Channels and metadata from settings: the same for both kinds of client."""

from __future__ import annotations

from typing import Any, Optional

import grpc

from boxkeeper.client.settings import ConnectionSettings, read_file

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.enable_http_proxy", 0),                 # an http_proxy of the environment is for others
    ("grpc.initial_reconnect_backoff_ms", 50),     # the daemon is back within a second: be there
    ("grpc.min_reconnect_backoff_ms", 5000),       # for one attempt to connect
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 30_000),            # the daemon allows one each 5 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),      # a quiet stream may be pinged for ever
    ("grpc.max_receive_message_length", -1),       # the daemon bounds what it sends
    ("grpc.max_send_message_length", -1),          # and refuses what is too large
    ("grpc.use_local_subchannel_pool", 1),         # clients do not share connections, or their failures
)


def open_channel(settings: ConnectionSettings, factory: Any) -> Any:
    """A channel of `factory`, the grpc or grpc.aio module. InvalidSettings for what cannot work."""
    settings.check()
    if not settings.uses_tls:
        return factory.insecure_channel(settings.target, options=_OPTIONS)
    certificate = read_file("cert_file", settings.cert_file) if settings.cert_file else None
    key = read_file("key_file", settings.key_file) if settings.key_file else None
    roots = read_file("ca_file", settings.ca_file) if settings.ca_file else None
    return factory.secure_channel(settings.target, grpc.ssl_channel_credentials(roots, key, certificate), options=_OPTIONS)


def metadata(settings: ConnectionSettings) -> Optional[tuple[tuple[str, str], ...]]:
    """What goes with each call; the token file is read now."""
    token = settings.current_token()
    return (("authorization", f"Bearer {token}"),) if token else None
