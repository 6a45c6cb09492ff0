"""``nyx-plugins dispatch`` and ``request``: frames for a plugin of a service."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .connecting import connected
from .options import json_option, timeout_option
from .references import PluginName, resolve
from .values import Flags, FrameTypeName, Whole

if TYPE_CHECKING:
    from ..actors.system import PluginSystem

MAX_COUNT = 1_000_000_000


def _frame_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that make a frame; the command gets its ``data``, read before anything else is done."""

    @functools.wraps(command)
    def framed(
        *args: Any, text: str | None, hex_wanted: bool, cbor_wanted: bool, file: str | None, **kwargs: Any
    ) -> Any:
        from .data import read_data

        data = read_data(text, hex_wanted=hex_wanted, cbor_wanted=cbor_wanted, file=file)
        return command(*args, data=data, cbor_wanted=cbor_wanted, **kwargs)

    for option in reversed(_FRAME):
        framed = option(framed)
    return framed


_FRAME = (
    click.argument("plugin", metavar="PLUGIN", type=PluginName()),
    click.argument("text", metavar="[DATA]", required=False),
    click.option(
        "--type",
        "frame_type",
        metavar="TYPE",
        type=FrameTypeName(),
        default="data",
        show_default=True,
        help="handshake, data, control or error, a name that the service's configuration gives, or a number (0x52).",
    ),
    click.option(
        "--flags",
        metavar="FLAGS",
        type=Flags(),
        default="0",
        show_default=True,
        help="The header's flags, 0 to 255; 0x01 is REQUIRED.",
    ),
    click.option("--hex", "hex_wanted", is_flag=True, help="DATA is hexadecimal digits, with or without blanks."),
    click.option("--cbor", "cbor_wanted", is_flag=True, help="DATA is JSON, and is sent as CBOR."),
    click.option("--file", "file", metavar="FILE", help="Take the data from a file; - is standard input."),
)


def _not_with_json(ctx: click.Context, param: click.Parameter, raw: bool) -> bool:
    if raw and ctx.params.get("json_wanted"):
        raise click.UsageError("'--raw' and '--json' exclude each other", ctx)
    return raw


@click.command(short_help="Send frames to a plugin.")
@_frame_options
@click.option(
    "--count",
    metavar="N",
    type=Whole(1, MAX_COUNT),
    default=1,
    show_default=True,
    help="Send the frame so many times.",
)
@click.option("--wait", is_flag=True, help="Wait for the outcomes too.")
@timeout_option("How long to wait for room and acceptance, and with --wait for each outcome.")
@json_option("Print one JSON object.")
@connected
def dispatch(
    system: PluginSystem,
    plugin: int | str,
    frame_type: int | str,
    flags: int,
    count: int,
    wait: bool,
    timeout: float | None,
    json_wanted: bool,
    data: bytes,
    cbor_wanted: bool,
) -> None:
    """Send a frame with DATA (by default none) to PLUGIN (an id or a name) and tell whether it was accepted.

    With --wait also tell what became of it. The exit code is 0 when every frame was accepted and, with --wait,
    processed; else 1, or 4 when the time was over before.
    """
    from .sending import Frame, send, type_number

    frame = Frame(resolve(system, plugin), type_number(system, frame_type), flags, data, cbor_wanted)
    send(system, frame, count, wait, timeout, json_wanted)


@click.command(short_help="Send a frame to a plugin and print its reply.")
@_frame_options
@timeout_option("How long to wait for the reply.")
@click.option(
    "--raw", is_flag=True, callback=_not_with_json, help="Write the bytes of the reply as they are, and nothing else."
)
@json_option("Print one JSON object.", is_eager=True)
@connected
def request(
    system: PluginSystem,
    plugin: int | str,
    frame_type: int | str,
    flags: int,
    timeout: float | None,
    raw: bool,
    json_wanted: bool,
    data: bytes,
    cbor_wanted: bool,
) -> None:
    """Send a frame with DATA (by default none) to PLUGIN (an id or a name) and print the reply.

    A reply that can be read as text is printed as text, one in CBOR as JSON, any other in hexadecimal digits. After
    --cbor, what can be read as both is CBOR.
    """
    from .sending import Frame, ask, type_number

    frame = Frame(resolve(system, plugin), type_number(system, frame_type), flags, data, cbor_wanted)
    ask(system, frame, timeout, raw, json_wanted)
