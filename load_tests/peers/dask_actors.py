"""Dask: an actor in a worker process of a local cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster

from .futures import FuturesPeer
from .work import Receiver


class DaskPeer(FuturesPeer):
    """Calls a method of a remote actor."""

    def start(self, directory: Path) -> None:
        """Start a scheduler and one worker, and the actor in it."""
        dask.config.set({"temporary-directory": str(directory)})
        self._cluster = LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        )
        self._client = Client(self._cluster)
        self._actor: Any = self._client.submit(Receiver, actor=True).result()
        self.processed()

    def submit(self, message: bytes | list[bytes]) -> Any:
        """Call the actor with one message."""
        return self._actor.take(message)

    def processed(self) -> int:
        """Ask the actor."""
        return int(self._actor.take([]).result())

    def stop(self) -> None:
        """Close client and cluster."""
        self._client.close()
        self._cluster.close()
