"""IP addresses and networks, of settings and of clients."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from entrypoints.settings.leaves import listed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address_in(text: str) -> Address | None:
    """None for what is no address. A socket that takes IPv6 and IPv4 reports IPv4 addresses as ::ffff:127.0.0.1."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether other machines can't reach a service that listens there."""
    address = address_in(host)
    return address.is_loopback if address is not None else host.lower() == "localhost"


def networks(text: str | None) -> tuple[Network, ...]:
    """The addresses and networks in a text. Raises `ValueError`."""
    return tuple(map(ip_network, listed(text)))


def is_in(text: str, among: tuple[Network, ...]) -> bool:
    address = address_in(text)
    return address is not None and any(address in network for network in among)
