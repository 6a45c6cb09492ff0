"""The load tests as one command: ``python -m nyx_plugins.load_tests``."""

from __future__ import annotations

import click

from nyx_plugins.load_tests.chaos.command import chaos
from nyx_plugins.load_tests.peers.command import peers
from nyx_plugins.load_tests.recovery import recovery
from nyx_plugins.load_tests.swap import main as swap


@click.group()
def main() -> None:
    """Put a system under load, and measure or prove what it does."""


main.add_command(chaos)
main.add_command(peers)
main.add_command(recovery)
main.add_command(swap, "swap")

if __name__ == "__main__":
    main()
