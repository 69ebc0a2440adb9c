"""Which addresses may be connected to, and a lookup that is done once (no rebinding between check and use)."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from haizen_runtime.storage.errors import TransientError, failed
from haizen_runtime.storage.limits import AddressPolicy

# Metadata services outside the link-local range: AWS over IPv6, Alibaba Cloud, Oracle's and Azure's wire server.
_METADATA = {ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")}
_SHARED = ip_network("100.64.0.0/10")
_NAT64 = IPv6Network("64:ff9b::/96")


def refusal(address: str, policy: AddressPolicy, *, from_public: bool = False) -> str | None:
    """Return why ``address`` may not be connected to, or None when it may.

    ``from_public`` says that a public server redirected here: then loopback is refused whatever the policy, because
    no public server has a reason to send us to ourselves. IPv4 inside IPv6 (mapped, 6to4, NAT64) is judged as IPv4.
    """
    parsed = _embedded(ip_address(address.partition("%")[0]))
    if parsed in _METADATA or parsed.is_link_local:
        return "it is a link-local or metadata address, which is never a model source"
    if parsed.is_unspecified or parsed.is_multicast or (parsed.is_reserved and not parsed.is_loopback):
        return "it is an unspecified, multicast or reserved address"
    if parsed.is_loopback:
        if from_public:
            return "a public server redirected to a loopback address"
        return (
            None if policy.allow_loopback else "loopback addresses are refused by HAIZEN_STORAGE_ALLOW_LOOPBACK=false"
        )
    if not policy.allow_private and (not parsed.is_global or parsed in _SHARED):
        return "private addresses are refused by HAIZEN_STORAGE_ALLOW_PRIVATE=false"
    return None


def is_public(address: str) -> bool:
    """Say whether ``address`` belongs to the open internet."""
    return _embedded(ip_address(address.partition("%")[0])).is_global


def resolve(host: str, port: int, policy: AddressPolicy, uri: str, *, from_public: bool = False) -> list[str]:
    """Look ``host`` up once and return the addresses that the policy allows.

    Raises DownloadError when the policy refuses any of them (a name with one good and one bad address is an attack,
    not a mistake), TransientError when the lookup fails.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransientError(f"the host name {host!r} could not be resolved: {error}") from error
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    for address in addresses:
        why = refusal(address, policy, from_public=from_public)
        if why is not None:
            shown = host if host == address else f"{host} ({address})"
            raise failed(f"the address {shown} is refused: {why}", uri)
    return addresses


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and 1 < int(address) < 1 << 32:
            inner = IPv4Address(int(address))  # the old IPv4-compatible form, ::a.b.c.d
        return inner or address
    return address
