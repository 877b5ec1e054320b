"""The programs mosquitto_pub, mosquitto_sub and mosquitto_rr, as anybody runs them in a shell."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from mesh.errors import BrokerError, DeadlineExceededError
from mesh.fleet.broker_url import parse_broker_url

TIMEOUT_S = 15.0
_MARK = "HEARD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A message as mosquitto_sub printed it."""

    topic: str
    payload: bytes


def mosquitto_pub(url: str, topic: str, payload: bytes, *options: str) -> str:
    """Publish a payload through standard input at QoS 1; returns what the program complained of."""
    how = ("-n",) if not payload else ("-s",)
    command = ["mosquitto_pub", *_where(url), "-q", "1", "-t", topic, *how, *options]
    done = subprocess.run(
        command, input=payload, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    return done.stderr.decode(errors="replace").strip()


def mosquitto_rr(url: str, topic: str, response_topic: str, message: str, *options: str) -> bytes:
    """Ask with a text and return the first reply's payload. Raises: BrokerError."""
    command = ["mosquitto_rr", *_where(url), "-q", "1", "-t", topic, "-e", response_topic]
    command += ["-m", message, "-W", f"{TIMEOUT_S:.0f}", "-F", "%x", *options]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S + 5, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        raise BrokerError(
            f"mosquitto_rr ended with {done.returncode}: {done.stderr.decode(errors='replace')}"
        )
    return bytes.fromhex(done.stdout.decode().strip())


class Subscription:
    """A running mosquitto_sub; `take` reads what it prints."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def take(self, count: int) -> list[Printed]:
        """Wait for so many messages. Raises: DeadlineExceededError."""
        return [self._message() for _ in range(count)]

    def await_subscribed(self) -> None:
        while not self._line().startswith("Subscribed"):
            pass

    def _message(self) -> Printed:
        while True:
            words = self._line().split()
            if words[:1] == [_MARK]:
                return Printed(topic=words[1], payload=bytes.fromhex("".join(words[2:])))

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise DeadlineExceededError("mosquitto_sub ended before it heard enough")
        return line


@contextlib.contextmanager
def mosquitto_sub(url: str, topic_filter: str, *options: str) -> Iterator[Subscription]:
    """Run mosquitto_sub, subscribed when this returns; it ends by itself after `TIMEOUT_S`."""
    # Line by line also into a pipe.
    command = ["stdbuf", "-oL", "mosquitto_sub", *_where(url), "-q", "1", "-t", topic_filter]
    # -d tells when it has subscribed; -F marks the lines that are messages.
    command += ["-d", "-F", f"{_MARK} %t %x", "-W", f"{TIMEOUT_S:.0f}", *options]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            subscription = Subscription(process)
            subscription.await_subscribed()
            yield subscription
        finally:
            process.terminate()


def _where(url: str) -> tuple[str, ...]:
    where = parse_broker_url(url)
    return ("-h", where.host, "-p", str(where.port))
