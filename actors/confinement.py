"""What a plugin's policy means for its worker's process: its private directory, its ruleset, and the jail's orders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from ..plugins.policy import Policy
from ..plugins.worker.jail import plan
from ..plugins.worker.jail.plan import Grants, Orders, Worker, orders, ruleset
from ..plugins.worker.spawn import code_paths, worker_environment
from .scratch import begin


@attrs.frozen
class Confinement:
    """One worker's jail, before there is a process."""

    grants: Grants
    environment: dict[str, str]
    ruleset: int | None
    """The descriptor of the Landlock ruleset, which the worker has to inherit."""
    network: tuple[str, ...]
    missing: tuple[str, ...]
    """Paths of the policy that do not exist."""

    def descriptors(self) -> tuple[int, ...]:
        """Return what the worker has to inherit."""
        return () if self.ruleset is None else (self.ruleset,)

    def orders(self, worker: Worker, ruleset: int | None) -> Orders:
        """Return what each layer is told in a process, which has the ruleset under this number."""
        return orders(self.grants, worker, ruleset)

    def explanation(self) -> dict[str, Any]:
        """Return what the worker's error messages are made of."""
        grants = self.grants
        scratch = (grants.scratch,) if grants.scratch else ()
        return {
            "read_paths": grants.read_paths,
            "write_paths": grants.write_paths + scratch,
            "network": self.network,
            "subprocesses": grants.subprocesses,
        }


def prepare() -> None:
    """Work out once what is the same for all workers: call it before the plugin actors are forked."""
    plan.prepare()
    code_paths("")


@contextlib.contextmanager
def confinement(policy: Policy, bundle: str, scratch_place: str) -> Iterator[Confinement]:
    """Prepare the jail of a new worker; its descriptor is closed in the end, its scratch directory begins empty.

    Raises :class:`ModuleNotFoundError` for a package of the policy that is not installed.
    """
    scratch = ""
    if policy.scratch_bytes:
        scratch = str(begin(Path(scratch_place)))
    environment = worker_environment(policy.environment, scratch)
    grants = _grants(policy, code_paths(bundle, policy.packages), scratch, tuple(environment))
    fd, missing = ruleset(grants)
    try:
        yield Confinement(grants, environment, fd, policy.network, missing)
    finally:
        if fd is not None:
            os.close(fd)


def _grants(policy: Policy, code: tuple[str, ...], scratch: str, environment: tuple[str, ...]) -> Grants:
    return Grants(
        code=code,
        read_paths=policy.read_paths,
        write_paths=policy.write_paths,
        deny_read_paths=policy.deny_read_paths,
        deny_write_paths=policy.deny_write_paths,
        scratch=scratch,
        scratch_bytes=policy.scratch_bytes,
        memory_bytes=policy.memory_bytes,
        cpu_seconds=policy.cpu_seconds,
        open_files=policy.open_files,
        environment=environment,
        subprocesses=policy.subprocesses,
    )
