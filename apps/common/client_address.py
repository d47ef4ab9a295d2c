"""Where a request comes from, also where a proxy stands before us."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(meta: Mapping[str, Any]) -> str:
    """The address of the visitor as the last proxy of ours saw it; empty where it cannot be known.

    `X-Forwarded-For` is read only where settings.TRUSTED_PROXY_COUNT says how many proxies are ours, and then from its
    end: each proxy adds whom it heard, and what stands before that is the visitor's own invention.
    """
    proxies: int = settings.TRUSTED_PROXY_COUNT
    if not proxies:
        return str(meta.get("REMOTE_ADDR", ""))
    heard = [part.strip() for part in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
    return heard[-proxies] if len(heard) >= proxies else ""


def parse_address(text: str) -> Address | None:
    """The address; that of IPv4 where IPv6 only carries it. None for what is no address, such as a unix socket."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


def is_within(text: str, networks: Iterable[str]) -> bool:
    """Whether the address lies in one of these networks (CIDR). An unknown address lies in none."""
    address = parse_address(text)
    return address is not None and any(address in ipaddress.ip_network(network) for network in networks)
