"""Where a node is reached: `mqtt://host:port`, taken apart and checked; nothing is connected here."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from mesh.errors import UsageError

DEFAULT_PORT = 1883
MAX_URL_CHARS = 200  # fits one TXT string (RFC 6763 §6.1) beside its key
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """A sound broker URL; `str()` gives it back with its port."""

    host: str  # name or address, IPv6 without brackets
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{host}:{self.port}"


def parse_broker_url(text: str) -> BrokerUrl:
    """Raises: UsageError when it is not `mqtt://host[:port]`."""
    try:
        parts, port = _split(text)
    except ValueError as error:
        raise _refusal(text, str(error)) from error
    if parts.scheme != "mqtt":
        raise _refusal(text, "only mqtt:// is served")
    if parts.username is not None or parts.path.strip("/") or parts.query or parts.fragment:
        raise _refusal(text, "it names more than host and port")
    host = parts.hostname or ""
    if not _is_host(host):
        raise _refusal(text, "there is no usable host name in it")
    return BrokerUrl(host=host, port=DEFAULT_PORT if port is None else port)


def _split(text: str) -> tuple[SplitResult, int | None]:
    # urlsplit silently drops tabs and line breaks: refuse them before.
    if len(text) > MAX_URL_CHARS or not text.isprintable() or " " in text:
        raise ValueError(f"at most {MAX_URL_CHARS} printable characters without blanks")
    parts = urlsplit(text)
    if parts.port == 0:
        raise ValueError("port 0 cannot be reached")
    return parts, parts.port


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return _HOST_NAME.fullmatch(host) is not None
    return True


def _refusal(text: str, why: str) -> UsageError:
    return UsageError(
        f"broker URL {text[:MAX_URL_CHARS]!r} is not usable ({why}): write mqtt://HOST:PORT"
    )
