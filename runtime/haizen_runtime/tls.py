"""TLS for the port: certificates that are renewed without a restart, and clients' certificates if wanted."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from haizen_runtime.protocol.errors import InvalidConfiguration
from haizen_runtime.watching import WatchedFiles

ALPN: Final = ["h2", "http/1.1"]
"""What the port speaks; clients choose (RFC 7301), gRPC's insist on h2."""


class ServerTls:
    """The context of the listening socket. Each handshake gets what the files said last."""

    def __init__(self, cert_file: str, key_file: str, client_ca_file: str = "") -> None:
        """Reads the files. Raises InvalidConfiguration when they cannot be used."""
        self._paths = (cert_file, key_file, client_ca_file)
        self._newest = self._read()
        self.context = self._read()
        # A context cannot be emptied of authorities it has trusted, so a renewed one is a new context. OpenSSL asks
        # this for every client, also one that names no server.
        self.context.sni_callback = self._choose
        self._files = WatchedFiles("TLS certificates", [path for path in self._paths if path], self._renew)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _renew(self, contents: Sequence[bytes]) -> None:
        self._newest = self._read()

    def _read(self) -> ssl.SSLContext:
        cert_file, key_file, client_ca_file = self._paths
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(ALPN)
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InvalidConfiguration(
                f"{cert_file} with {key_file} cannot be used for TLS: {_reason(error)}; "
                "they must be a PEM certificate and its unencrypted private key."
            ) from None
        if client_ca_file:
            try:
                context.load_verify_locations(client_ca_file)
            except (OSError, ValueError) as error:
                raise InvalidConfiguration(f"{client_ca_file} has no PEM certificates: {_reason(error)}.") from None
            context.verify_mode = ssl.CERT_REQUIRED
            # A resumed session would not be asked for its certificate again, although its authority may be gone.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context


def _no_password() -> str:
    raise ValueError("the private key is encrypted")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "no certificate or key in it"
    return str(getattr(error, "strerror", None) or error)
