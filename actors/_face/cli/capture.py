"""``nyx-plugins replay`` and ``demo``: captures of frames, replayed through plugins."""

from __future__ import annotations

import click

from .options import config_option, json_option, timeout_option, transport_option

EXIT_DIFFERENT = 1


@click.command()
@click.argument("capture")
@config_option("The configuration, which names the plugins.", required=True)
@json_option("Print one JSON object instead of tables.")
@transport_option
@timeout_option("How long frames may wait for room in a mailbox, and in the end for their outcomes.")
def replay(capture: str, config: str, json_wanted: bool, transport: str | None, timeout: float | None) -> None:
    """Feed the frames of CAPTURE to plugins, and count.

    The configured plugins are loaded for it. Frames that are refused are results: the exit code is 0 when the replay
    ran to its end. It is 2, with one sentence on standard error, when the configuration, a plugin or the capture can't
    be used, 3 when the system can't start, and 4 when frames have no outcome in time.
    """
    from .running import run_replay

    run_replay(capture, config, json_wanted, transport, timeout)


@click.command()
@transport_option
def demo(transport: str | None) -> None:
    """Replay the bundled capture, and check the result.

    The text of six licences goes to the three bundled plugins. The exit code is 0 when every figure is as expected,
    and 1 when one is not.
    """
    from .demo import run_demo

    if not run_demo(transport):
        click.get_current_context().exit(EXIT_DIFFERENT)
