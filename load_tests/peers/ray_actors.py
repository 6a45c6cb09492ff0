"""Ray: an actor in a worker process of a local cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from .futures import FuturesPeer
from .work import Receiver

OBJECT_STORE_BYTES = 128 << 20


class RayPeer(FuturesPeer):
    """Calls a method of a remote actor."""

    def start(self, directory: Path) -> None:
        """Start a cluster of one node, and the actor."""
        os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(directory / "ray"),
        )
        self._actor: Any = ray.remote(Receiver).remote()
        self.processed()

    def submit(self, message: bytes | list[bytes]) -> Any:
        """Call the actor with one message."""
        return self._actor.take.remote(message)

    def wait(self, futures: Sequence[Any]) -> None:
        """Get all results at once."""
        ray.get(list(futures))

    def processed(self) -> int:
        """Ask the actor."""
        return int(ray.get(self._actor.take.remote([])))

    def stop(self) -> None:
        """End the cluster; what Ray leaves running ends with the process that measures."""
        ray.shutdown()
