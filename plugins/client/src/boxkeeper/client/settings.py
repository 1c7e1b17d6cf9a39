"""Where the daemon is and how to speak to it. No gRPC in here."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Optional

from boxkeeper.client.errors import InvalidSettings

DEFAULT_ADDRESS = "127.0.0.1:7433"
DEFAULT_PORT = 7433
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|localhost|::1")
_TOKEN = re.compile(r"[\x21-\x7e]+")  # anything else is no HTTP header value


@dataclasses.dataclass(frozen=True)
class ConnectionSettings:
    """How to reach one daemon. Immutable; checked when a client is made of it; its repr shows no secret.

    address:      HOST:PORT, HOST (port 7433), [IPV6]:PORT or unix:/PATH
    tls:          speak TLS; ca_file implies it
    ca_file:      PEM certificates that the server's is checked against; empty with tls=True: the system's
    cert_file, key_file: own certificate and key, both or neither, where the daemon asks for one
    token:        bearer token; token_file: a file with one, read again for every call, so that it may be replaced
    timeout:      seconds that a call may take in all, repeats included, unless the call says otherwise; > 0
    max_attempts: of calls that are safe to repeat; 1 = never repeat
    reconnect_timeout: seconds without the daemon after which waits and followed streams give up; math.inf = never
    """

    address: str = DEFAULT_ADDRESS
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token: str = dataclasses.field(default="", repr=False)
    token_file: str = ""
    timeout: float = 10.0
    max_attempts: int = 5
    reconnect_timeout: float = 60.0

    @classmethod
    def from_env(cls, environment: Optional[Mapping[str, str]] = None) -> ConnectionSettings:
        """What boxctl takes from the environment: BOXKEEPER_SERVER, BOXKEEPER_CA_FILE, BOXKEEPER_TOKEN_FILE; beside them
        BOXKEEPER_CERT_FILE and BOXKEEPER_KEY_FILE. What is unset or empty has its default."""
        values = os.environ if environment is None else environment
        return cls(
            address=values.get("BOXKEEPER_SERVER") or DEFAULT_ADDRESS,
            ca_file=values.get("BOXKEEPER_CA_FILE", ""),
            cert_file=values.get("BOXKEEPER_CERT_FILE", ""),
            key_file=values.get("BOXKEEPER_KEY_FILE", ""),
            token_file=values.get("BOXKEEPER_TOKEN_FILE", ""),
        )

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.tls or bool(self.ca_file)

    @property
    def target(self) -> str:
        """The address as gRPC wants it. InvalidSettings if it is none."""
        host, port = self._split()
        if not host:
            return "unix:" + port
        return f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"

    def check(self) -> None:
        """InvalidSettings with the first thing that cannot work, before anything is sent."""
        host, _ = self._split()
        if bool(self.cert_file) != bool(self.key_file):
            raise InvalidSettings("cert_file and key_file go together")
        if self.cert_file and not self.uses_tls:
            raise InvalidSettings("cert_file needs TLS: give ca_file, or set tls")
        if self.token and self.token_file:
            raise InvalidSettings("token and token_file: give one of them")
        if self.token and not _TOKEN.fullmatch(self.token):
            raise InvalidSettings("token: must be printable ASCII without spaces")
        if (self.token or self.token_file) and not self.uses_tls and host and not _LOOPBACK.fullmatch(host):
            raise InvalidSettings(f"refusing to send a token in plain text to {self.address}: "
                                  "use TLS, a loopback address or a unix socket")
        if self.timeout <= 0:
            raise InvalidSettings("timeout: must be above 0 s")
        if self.reconnect_timeout < 0:
            raise InvalidSettings("reconnect_timeout: must be at least 0 s")
        if self.max_attempts < 1:
            raise InvalidSettings("max_attempts: must be at least 1")

    def current_token(self) -> str:
        """The token to send now; empty = none. InvalidSettings if the file cannot be read or holds no token."""
        if not self.token_file:
            return self.token
        text = read_file("token_file", self.token_file).decode("ascii", "replace").strip()
        if not _TOKEN.fullmatch(text):
            raise InvalidSettings(f"token_file: {self.token_file!r} must hold one line of printable ASCII")
        return text

    def _split(self) -> tuple[str, str]:
        """(host, port), or ("", path) of a unix socket."""
        address = self.address
        if address.startswith("unix:"):
            path = address[len("unix:"):]
            path = path[2:] if path.startswith("//") else path
            if not path:
                raise InvalidSettings(f"address {address!r}: no path; it is HOST:PORT or unix:/PATH")
            return "", path
        if "://" in address:
            raise InvalidSettings(f"address {address!r}: is no URL; it is HOST:PORT or unix:/PATH")
        found = re.fullmatch(r"\[(?P<v6>[^\]]+)\](:(?P<v6port>\d+))?|(?P<host>[^:\s\[\]]+)(:(?P<port>\d+))?", address)
        if found:
            host, port = found["v6"] or found["host"], int(found["v6port"] or found["port"] or DEFAULT_PORT)
        elif re.fullmatch(r"[0-9a-fA-F:.]+", address) and address.count(":") > 1:
            host, port = address, DEFAULT_PORT
        else:
            raise InvalidSettings(f"address {address!r}: it is HOST:PORT or unix:/PATH")
        if not 1 <= port <= 65535:
            raise InvalidSettings(f"address {address!r}: bad port")
        return host, str(port)


def read_file(setting: str, path: str) -> bytes:
    """Bytes of the file that `setting` names; InvalidSettings if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidSettings(f"{setting}: cannot read {path!r}: {error.strerror}") from None
