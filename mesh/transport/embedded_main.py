"""The embedded broker's process: `python -m mesh.transport.embedded_main HOST:PORT`; amqtt alone."""

import asyncio
import logging
import signal
import sys
from typing import Any

from amqtt.broker import Broker

_AUTHENTICATION = "amqtt.plugins.authentication.AnonymousAuthPlugin"
_QUIET = "mesh.transport.quiet_payloads.QuietPayloads"


def configuration(listen_at: str) -> dict[str, Any]:
    """Return amqtt's configuration for one anonymous TCP listener and no other plugin."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": listen_at}},
        "plugins": {_AUTHENTICATION: {"allow_anonymous": True}, _QUIET: {}},
    }


async def serve(listen_at: str) -> None:
    """Run until SIGTERM or SIGINT."""
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    broker = Broker(configuration(listen_at))
    await broker.start()
    await asked_to_end.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    asyncio.run(serve(sys.argv[1]))
