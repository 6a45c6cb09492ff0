"""Who is compared: each peer's name, module and requirements, and which of our guarantees it has."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from enum import StrEnum

import attrs

PACKAGE = __package__


class Has(StrEnum):
    """Whether a peer guarantees something; ``docs/performance.md`` gives the reasons."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"


YES, PARTLY, NO = Has.YES, Has.PARTLY, Has.NO


@attrs.frozen
class Features:
    """Which of our guarantees a peer has, in the order in which they are shown."""

    own_process: Has
    """The receiver's crash, leak or endless loop leaves the sender alone."""
    permissions: Has
    """What a receiver may be sent is decided for each, and can be taken back."""
    sandbox: Has
    """The operating system keeps the receiver's code to what it may touch."""
    bounded: Has
    """A receiver that does not keep up makes no process grow."""
    restart: Has
    """A receiver that ends is started again."""
    one_outcome: Has
    """The sender learns exactly once what became of each frame, also when processes are killed."""


TITLES: Mapping[str, str] = {
    "own_process": "own process",
    "permissions": "permissions",
    "sandbox": "sandbox",
    "bounded": "bounded mailbox",
    "restart": "restart",
    "one_outcome": "exactly one outcome",
}


@attrs.frozen
class Entry:
    """One peer. It may take ``timeout_s`` seconds for a round, its start and end included."""

    key: str
    title: str
    where: str
    """Its module in this folder, and its class."""
    features: Features
    needs: str = ""
    """The package that has to be there, if that is none of our own requirements, and the extra that brings it."""
    extra: str = ""
    timeout_s: float = 90.0
    largest_window: int = 4096
    """With more messages under way it comes to a stop."""

    @property
    def function(self) -> str:
        """Where the class is."""
        return f"{PACKAGE}.{self.where}"

    def missing(self) -> str:
        """Say what is missing, and what to do; empty if nothing is."""
        if not self.needs or importlib.util.find_spec(self.needs) is not None:
            return ""
        return f"not installed: pip install 'nyx-plugins[{self.extra}]'"


OURS = "ours"
THESPIAN_TCP = "thespian-tcp"
THESPIAN_DISPATCHER = "thespian-dispatcher"
RAY = "ray"
XOSCAR = "xoscar"
_THESPIAN = Features(YES, NO, NO, PARTLY, NO, NO)

ENTRIES = (
    Entry(OURS, "this runtime, jailed", "ours:OurPeer", Features(YES, YES, YES, YES, YES, YES)),
    Entry(THESPIAN_TCP, "Thespian TCP, a pair", "thespian_actors:ThespianPeer", _THESPIAN),
    # Its queues hold 10 messages each; two actors that both wait for room wait for ever.
    Entry(
        "thespian-queue", "Thespian Queue, a pair", "thespian_actors:ThespianQueuePeer", _THESPIAN, largest_window=16
    ),
    Entry(THESPIAN_DISPATCHER, "Thespian TCP, dispatcher to 10", "thespian_actors:ThespianDispatcherPeer", _THESPIAN),
    Entry("mp-queue", "multiprocessing.Queue", "mp_queue:QueuePeer", Features(YES, NO, NO, YES, NO, NO)),
    Entry("process-pool", "ProcessPoolExecutor", "process_pool:ProcessPoolPeer", Features(YES, NO, NO, NO, NO, PARTLY)),
    Entry("zeromq", "pyzmq PUSH/PULL", "zeromq:ZeroMqPeer", Features(YES, NO, NO, YES, NO, NO), "zmq", "load"),
    Entry("pykka", "Pykka (threads)", "pykka_threads:PykkaPeer", Features(NO, NO, NO, NO, NO, PARTLY), "pykka", "load"),
    Entry(RAY, "Ray actor", "ray_actors:RayPeer", Features(YES, NO, NO, PARTLY, YES, PARTLY), "ray", "peers", 120.0),
    Entry(XOSCAR, "xoscar actor", "xoscar_actors:XoscarPeer", Features(YES, NO, NO, NO, PARTLY, NO), "xoscar", "peers"),
    Entry("dask", "Dask actor", "dask_actors:DaskPeer", Features(YES, NO, NO, NO, NO, NO), "distributed", "peers"),
)
PEERS: Mapping[str, Entry] = {entry.key: entry for entry in ENTRIES}
