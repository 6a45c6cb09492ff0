"""``nyx-plugins serve`` and ``stop``: a system that runs as a service."""

from __future__ import annotations

import click

from .connecting import place_options
from .options import config_option, json_option, timeout_option


@click.command()
@config_option("The configuration, which names the plugins.")
@click.option("--runtime-dir", metavar="DIR", help="Where the service lives, private to its user.")
@click.option("--state-dir", metavar="DIR", help="Where registrations outlive the service.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve OpenMetrics there, such as 127.0.0.1:9464.")
@click.option("--dashboard", metavar="HOST:PORT", help="Serve the web dashboard there, such as 127.0.0.1:8080.")
@click.option("--dashboard-token-file", metavar="FILE", help="What the dashboard asks for before it changes anything.")
@click.option("--log-format", type=click.Choice(["text", "json"]), help="How log lines are written.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="The least that is logged.")
def serve(
    config: str | None,
    runtime_dir: str | None,
    state_dir: str | None,
    metrics: str | None,
    dashboard: str | None,
    dashboard_token_file: str | None,
    log_format: str | None,
    log_level: str | None,
) -> None:
    """Run a plugin system as a service, in the foreground.

    It loads the plugins that the configuration names, and is driven from other terminals of the same user: see
    'nyx-plugins status'. Its log goes to standard error. Options go before the configuration.

    \b
    SIGTERM, SIGINT  stop taking frames, finish those in hand, unload, stop;
                     a second one ends it at once
    SIGHUP           read the configuration again: what can be applied is,
                     what can't is named

    Exit codes: 0 stopped in order, 1 a process could not be ended, 2 the configuration can't be used, 3 it could not
    start (another service runs there, say), or the system ended by itself; 143 or 130 after a second SIGTERM or SIGINT,
    which ends it by the signal.
    """
    from ..service.server import Server
    from .overrides import overriding

    given = {
        ("system", "runtime_dir"): runtime_dir,
        ("system", "state_dir"): state_dir,
        ("service", "metrics"): metrics,
        ("service", "dashboard"): dashboard,
        ("service", "dashboard_token_file"): dashboard_token_file,
        ("logging", "format"): log_format,
        ("logging", "level"): log_level,
    }
    server = Server(lambda: overriding(config, given))
    click.get_current_context().exit(server.run())


@click.command()
@place_options
@timeout_option("How long to wait for the end.", default="until it has ended")
@json_option("Print one JSON object instead of a sentence.")
def stop(runtime_dir: str | None, timeout: float | None, json_wanted: bool) -> None:
    """Stop the service, and tell how it ended.

    It waits until everything is stopped, killed or left; frames in hand get the time that limits.drain_timeout_s
    names. Exit codes: 0 stopped, 1 a process could not be ended, 3 no service is running, 4 it has not ended within
    --timeout.
    """
    from .stopping import run_stop

    click.get_current_context().exit(run_stop(runtime_dir, timeout, json_wanted))
