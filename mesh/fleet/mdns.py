"""Discovery over mDNS by python-zeroconf: announces, browses, drops what is unsound; judges no node's life.

A machine often starts before its network: opening the sockets is tried until it works, interfaces
that come later are taken in, and a failure is a warning, since seeds find nodes too.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import TypeVar

from zeroconf import (
    DNSQuestionType,
    InterfaceChoice,
    NonUniqueNameException,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf import Error as ZeroconfError

from mesh.errors import RemoteError
from mesh.fleet.broker_url import parse_broker_url
from mesh.fleet.discovery import SERVICE_TYPE, Announcement, gather
from mesh.fleet.txt import OtherVersionError, clean, decode, encode

_LOG = logging.getLogger("mesh.fleet")
V = TypeVar("V")

RETRY_S = 5.0  # between attempts to open the sockets
RESCAN_S = 30.0  # between looks for new interfaces
RESOLVE_TIMEOUT_MS = 1500
MAX_KNOWN = 1024  # instance names remembered; beyond it the oldest are forgotten
_CLOSE_TIMEOUT_S = 4.0
_FAILURES = (OSError, ZeroconfError, RuntimeError, ValueError, AssertionError, TimeoutError)


def discover(
    mesh_name: str, *, timeout_s: float, interfaces: tuple[str, ...] = ()
) -> list[Announcement]:
    """Return the nodes of a mesh that answer now; as soon as they do, or [] at the timeout."""
    discovery = MdnsDiscovery(interfaces=interfaces)
    try:
        return gather(discovery, mesh_name=mesh_name, timeout_s=timeout_s)
    finally:
        discovery.close()


class MdnsDiscovery:
    """See `Discovery`. A thread of its own opens, announces and closes; zeroconf's browses."""

    def __init__(self, *, interfaces: tuple[str, ...] = ()) -> None:
        """Use the interfaces with these IP addresses; all when empty."""
        self._interfaces = list(interfaces) or InterfaceChoice.All
        self._lock = Lock()  # guards the next three
        self._zeroconf: Zeroconf | None = None
        self._listener: _Listener | None = None
        self._browser: ServiceBrowser | None = None
        self._announced: Announcement | None = None
        self._warned = ""
        self._closed = False
        self._orders: SimpleQueue[Announcement | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="mdns", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many announcements were unsound."""
        listener = self._listener
        return 0 if listener is None else listener.dropped

    def announce(self, announcement: Announcement) -> None:
        self._orders.put(announcement)

    def browse(self, on_found: Callable[[Announcement], None]) -> None:
        with self._lock:
            self._listener = _Listener(on_found)
            self._start_browser()

    def close(self) -> None:
        self._closed = True
        if self._listener is not None:
            self._listener.stop()
        self._orders.put(None)
        if current_thread() is not self._thread:
            self._thread.join(_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        wanted: Announcement | None = None
        while not self._closed:
            in_order = self._attempt(wanted)
            try:
                wanted = self._orders.get(timeout=RESCAN_S if in_order else RETRY_S) or wanted
            except Empty:
                self._rescan()
        self._end()

    def _attempt(self, wanted: Announcement | None) -> bool:
        """Open and announce what is not yet; tell whether all of it worked."""
        try:
            zeroconf = self._open()
            if wanted is not None and wanted != self._announced:
                _register(zeroconf, wanted, again=self._announced is not None)
                self._announced = wanted
        except NonUniqueNameException:
            self._warn("another machine here has this node's id: was its data directory copied?")
        except _FAILURES as error:
            self._warn(f"{type(error).__name__}: {error}")
        else:
            self._warned = ""
            return True
        return False

    def _open(self) -> Zeroconf:
        if self._zeroconf is None:
            opened = Zeroconf(interfaces=self._interfaces, use_asyncio=False)
            with self._lock:
                self._zeroconf = opened
                self._start_browser()
        return self._zeroconf

    def _start_browser(self) -> None:
        if self._zeroconf is not None and self._listener is not None and self._browser is None:
            # Multicast questions: a unicast answer reaches only one of the processes on port 5353.
            self._browser = ServiceBrowser(
                self._zeroconf,
                SERVICE_TYPE,
                handlers=[self._listener.on_change],
                question_type=DNSQuestionType.QM,
            )

    def _rescan(self) -> None:
        """Take in interfaces that came up after the start."""
        if self._zeroconf is not None:
            try:
                self._zeroconf.update_interfaces()
            except _FAILURES as error:
                self._warn(f"{type(error).__name__}: {error}")

    def _warn(self, why: str) -> None:
        if why != self._warned:
            self._warned = why
            _LOG.warning("mDNS does not work now, only seeds find other nodes (%s)", why)

    def _end(self) -> None:
        if self._zeroconf is not None:
            try:
                self._zeroconf.close()  # says goodbye
            except _FAILURES as error:
                _LOG.warning("mDNS did not close cleanly: %s", error)


class _Listener:
    """Turns zeroconf's changes into announcements."""

    def __init__(self, on_found: Callable[[Announcement], None]) -> None:
        self._on_found = on_found
        self._known: OrderedDict[str, Announcement] = OrderedDict()  # last reported, by instance
        self._complained: OrderedDict[str, str] = OrderedDict()  # last complaint, by instance
        self._stopped = False
        self.dropped = 0

    def stop(self) -> None:
        self._stopped = True

    def on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Zeroconf calls this, with these argument names, on its browser's thread."""
        if state_change is ServiceStateChange.Removed:
            self._known.pop(name, None)
            return
        try:
            announcement = _resolve(zeroconf, service_type, name)
        except RemoteError as error:
            self._drop(name, error)
            return
        if self._known.get(name) != announcement and not self._stopped:
            _remember(self._known, name, announcement)
            self._on_found(announcement)

    def _drop(self, name: str, error: RemoteError) -> None:
        self.dropped += not isinstance(error, OtherVersionError)
        if self._complained.get(name) != str(error):
            _remember(self._complained, name, str(error))
            _LOG.warning("ignored the mDNS service %s: %s", clean(name, 80), error)


def service_info(announcement: Announcement) -> ServiceInfo:
    """Return the announcement as zeroconf's value; it never speaks for the machine's host name."""
    url = parse_broker_url(announcement.broker_url)
    return ServiceInfo(
        SERVICE_TYPE,
        f"{announcement.node_id}.{SERVICE_TYPE}",
        port=url.port,
        properties=encode(announcement),
        server=f"{announcement.node_id}.local.",
        addresses=_addresses(url.host),
    )


def _register(zeroconf: Zeroconf, announcement: Announcement, *, again: bool) -> None:
    """Announce; blocks while others are asked whether the name is taken (RFC 6762 §8.1): 1.65 s."""
    info = service_info(announcement)
    if again:
        zeroconf.update_service(info)
    else:
        zeroconf.register_service(info)


def _addresses(host: str) -> list[bytes]:
    try:
        return [ip_address(host).packed]
    except ValueError:
        return []  # a name: whoever needs its address asks DNS


def _resolve(zeroconf: Zeroconf, service_type: str, name: str) -> Announcement:
    info = ServiceInfo(service_type, name)
    # Only the TXT record is of use, and it mostly comes with the pointer: ask just when it didn't.
    if not info.load_from_cache(zeroconf) and not info.text:
        info.request(zeroconf, RESOLVE_TIMEOUT_MS, question_type=DNSQuestionType.QM)
    announcement = decode(info.properties)
    if name.lower() != f"{announcement.node_id}.{SERVICE_TYPE}":
        raise RemoteError("its instance name is not its node id")
    return announcement


def _remember(memory: OrderedDict[str, V], name: str, value: V) -> None:
    memory[name] = value
    if len(memory) > MAX_KNOWN:
        memory.popitem(last=False)
