"""Who may change something over the dashboard, and what."""

from __future__ import annotations

from typing import Any

import pytest

from nyx_plugins import DispatchTimeout, PluginFailed, PluginNotLoaded, PluginNotRegistered, StartupError, SystemStopped
from nyx_plugins.service.dashboard import serve_dashboard

from .conftest import TOKEN, Serve, act, ask


@pytest.mark.parametrize(
    ("path", "body", "done"),
    [
        ("7/pause", None, ("pause", 7)),
        ("7/resume", {}, ("resume", 7)),
        ("7/reset", {}, ("reset", 7)),
        ("4294967295/unload", None, ("unload", 4294967295)),
        ("7/grant", {"permission": "control"}, ("grant", 7, "control")),
        ("7/revoke", {"permission": "data_access"}, ("revoke", 7, "data_access")),
    ],
)
def test_whoever_knows_the_token_can_act(fake: Any, serve: Serve, path: str, body: Any, done: tuple[Any, ...]) -> None:
    """Each action is done to the plugin that is named."""
    answer = act(serve(fake, TOKEN), path, body=body)
    assert (answer.status, answer.body, fake.done) == (204, b"", [done])


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer caf\u00e9"],
)
def test_without_the_token_nothing_is_done(fake: Any, serve: Serve, authorization: str) -> None:
    """Nothing but the whole token will do."""
    server = serve(fake, TOKEN)
    answer = act(server, "7/pause", Authorization=authorization)
    assert (answer.status, answer.error) == (401, "This is not the token.")
    assert ask(server, "/api/token", "POST", Authorization=authorization).status == 401
    assert act(server, "7/pause", token=None).status == 401
    assert fake.done == []


def test_the_token_can_be_checked(fake: Any, serve: Serve) -> None:
    """The page checks a token before it keeps it."""
    assert ask(serve(fake, TOKEN), "/api/token", "POST", Authorization=f"Bearer {TOKEN}").status == 204


def test_without_a_token_of_its_own_it_is_read_only(fake: Any, serve: Serve) -> None:
    """A service that was started without a token takes none."""
    server = serve(fake)
    for token in (TOKEN, "", "None", None):
        answer = act(server, "7/pause", token)
        assert (answer.status, answer.error.partition(":")[0]) == (403, "This dashboard is read-only")
    assert ask(server, "/api/token", "POST").status == 403
    assert fake.done == []


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
def test_actions_are_posted(fake: Any, serve: Serve, method: str) -> None:
    """No link can act."""
    server = serve(fake, TOKEN)
    assert ask(server, "/api/plugins/7/pause", method, Authorization=f"Bearer {TOKEN}").status == 405
    assert fake.done == []


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("seven/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("-1/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("4294967296/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("9" * 5000 + "/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("%D9%A7/pause", None, "A plugin's id is a number from 0 to 4,294,967,295."),
        ("7/close", None, "There is no such action: pause, resume, reset, unload, grant, revoke are all."),
        (
            "7/grant",
            None,
            "There is no such permission: control, data_access, error_reporting, handshake, inter_plugin are all.",
        ),
        ("7/grant", {"permission": ["control"]}, "There is no such permission: "),
        ("7/grant", {"permission": "root"}, "There is no such permission: "),
        ("7/pause", [], "A request is a JSON object."),
        ("7/pause", b"{", "A request is a JSON object."),
        ("7/pause", b"\xff", "A request is a JSON object."),
        ("7/pause", b"[" * 4096, "A request is a JSON object."),
        ("7/pause", b"9" * 5000, "A request has at most 4,096 bytes."),
    ],
)
def test_nonsense_is_refused_in_one_sentence(fake: Any, serve: Serve, path: str, body: Any, said: str) -> None:
    """Whatever is wrong with a request is told, and nothing is done."""
    answer = act(serve(fake, TOKEN), path, body=body)
    assert answer.status == 400 and answer.error.startswith(said)
    assert fake.done == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PluginNotRegistered(7), 404),
        (PluginNotLoaded(7, "failed"), 409),
        (PluginFailed(7, "gone"), 409),
        (SystemStopped("it was closed"), 503),
        (DispatchTimeout(7, "pausing plugin 7", 5.0), 504),
    ],
)
def test_what_the_system_refuses_is_told(fake: Any, serve: Serve, error: Exception, status: int) -> None:
    """The system's own words, under a status that fits."""
    fake.refusal = error
    answer = act(serve(fake, TOKEN), "7/pause")
    assert (answer.status, answer.error) == (status, f"{error}.")


@pytest.mark.parametrize("token", ["", " " * 16, "a" * 16 + "\n", "caf\u00e9" * 4, " padded with spaces", "short"])
def test_a_token_that_protects_nothing_is_an_error_of_the_start(fake: Any, token: str) -> None:
    """A short one can be guessed, and others could not be typed or sent."""
    with pytest.raises(StartupError, match="token"):
        serve_dashboard("127.0.0.1:0", fake, token)
