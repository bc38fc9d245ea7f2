"""Where an HTTP API listens, read from its URL: this machine alone, unless it says otherwise."""

import ipaddress
from functools import lru_cache
from urllib.parse import SplitResult, parse_qs, urlsplit

from caudal.errors import ConfigError


def address_of(url: str) -> tuple[str, int, bool]:
    """(host, port, whether only this machine may ask) of `http://host:port`. Raises ConfigError."""
    hint = "write http://127.0.0.1:8420"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(f"{url}: is not a host and a port from 0 to 65535", hint=hint) from None
    if not parts.hostname or port is None or parts.path.strip("/") or parts.username:
        raise ConfigError(f"{url}: is not a host and a port", hint=hint)
    public = _is_public(parts, url)
    if not public and not is_loopback(parts.hostname):
        raise ConfigError(
            f"{url}: others than this machine could reach it, and it asks nobody for a password",
            hint=f"use 127.0.0.1, or, behind a proxy that does, {url.rstrip('/')}?public=yes",
        )
    return parts.hostname, port, not public


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_public(parts: SplitResult, url: str) -> bool:
    query = parse_qs(parts.query)
    if query not in ({}, {"public": ["yes"]}):
        raise ConfigError(f"{url}: unknown option", hint="there is ?public=yes")
    return bool(query)


@lru_cache(256)
def is_local_url(url: str) -> bool:
    """Whether a URL's host is this machine's own: `//localhost:80`."""
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False
