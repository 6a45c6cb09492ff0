"""The fixtures for authors: what a test of a plugin sees, and how its mistakes are told."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from nyx_plugins import (
    BundleError,
    EventKind,
    FrameType,
    OutcomeKind,
    PermissionDenied,
    PluginFailed,
    PluginNotRegistered,
    PolicyRefused,
    Settings,
    SwapFailed,
    testing,
)
from nyx_plugins.config.settings import LimitSettings
from nyx_plugins.testing import LoadPlugin, LogLine, PluginUnderTest
from nyx_plugins.trial import LogBook, Workbench

Fault = Callable[..., Path]
TEMPLATE = Path(str(files("nyx_plugins") / "data" / "template"))
echo = pytest.mark.nyx_plugin(bundle="builtin:echo")


@pytest.fixture(autouse=True)
def nothing_left(runtime_base: Path, request: pytest.FixtureRequest) -> None:
    """Check that the systems of the fixtures leave no file."""
    request.addfinalizer(lambda: _check_empty(runtime_base))


def _check_empty(folder: Path) -> None:
    assert list(folder.iterdir()) == []


# What a test can ask and do.


@echo
def test_a_frame_has_an_outcome_and_a_reply(plugin: PluginUnderTest, nyx_transport: str) -> None:
    """``send`` gives the outcome, ``request`` the reply; data, type and flags are as given."""
    outcome = plugin.send(b"x", FrameType.CONTROL, flags=1)
    assert (outcome.kind, outcome.reply) == (OutcomeKind.PROCESSED, b"x")
    assert plugin.request(b"y") == b"y"
    assert plugin.request() == b""
    assert (plugin.stats.processed, plugin.stats.state) == (3, "ready")
    assert (plugin.plugin_id, plugin.info.name) == (1002, "echo")
    assert plugin.system.settings.system.transport == nyx_transport
    assert repr(plugin) == "<PluginUnderTest echo 1.0.0, id 1002>"


def test_a_handler_that_raises_is_an_outcome(load_plugin: LoadPlugin, fault: Fault) -> None:
    """``send`` tells what it raised, ``request`` raises it; the plugin goes on."""
    plugin = load_plugin(fault("raising_plugin"))
    outcome = plugin.send(b"raise")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "ValueError: this frame is not to my taste")
    with pytest.raises(PluginFailed, match="not to my taste"):
        plugin.request(b"raise")
    assert plugin.request(b"fine") == b"fine"
    assert plugin.stats.errors == 2


def test_a_refused_frame_raises_what_refuses_it(load_plugin: LoadPlugin) -> None:
    """A test can prove what its plugin may not get."""
    plugin = load_plugin("builtin:echo", permissions=["data_access"])
    for send in (plugin.send, plugin.request):
        with pytest.raises(PermissionDenied):
            send(b"", FrameType.CONTROL)
    plugin.system.grant(plugin.plugin_id, "control")
    assert plugin.request(b"now", FrameType.CONTROL) == b"now"


@pytest.mark.nyx_plugin(transport="unix")
def test_a_plugin_that_crashes_does_not_end_the_tests(load_plugin: LoadPlugin, fault: Fault) -> None:
    """With a worker, a crash is the outcome of its frame, and an event."""
    plugin = load_plugin(fault("crashing_plugin"))
    outcome = plugin.send(b"crash")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.DEAD_LETTERED, "crash: worker exited with code 13")
    assert plugin.request(b"again") == b"again"
    kinds = [event.kind for event in plugin.events]
    assert kinds == [EventKind.LOADED, EventKind.READY, EventKind.CRASHED, EventKind.RESTARTED, EventKind.READY]


@pytest.mark.nyx_plugin(transport="unix", settings=Settings())
def test_a_plugin_that_hangs_is_waited_for(fault: Fault) -> None:
    """``send`` waits as long as the plugin may take for a frame, however long that is."""
    slow = fault("spinning_plugin", "[sandbox]\nwall_time_s = 0.2\n")
    with Workbench(transport="unix") as bench:
        plugin = bench.load(slow)
        assert plugin.patience_s == 0.2 + plugin.system.settings.limits.dispatch_timeout_s
        assert plugin.send(b"crash").reason.startswith("deadline")


def test_a_stub_raises_what_a_plugin_would(transport: str) -> None:
    """The type and the text of the exception that it was given are those of a plugin that raises it."""
    with Workbench(transport=transport) as bench:
        stub = bench.stub("journal", {b"bad": ValueError("no"), b"gone": KeyError("Ada"), b"bare": TimeoutError()})
        reasons = [stub.send(data).reason for data in (b"bad", b"gone", b"bare")]
    assert reasons == ["ValueError: no", "KeyError: 'Ada'", "TimeoutError: "]


def test_everything_emitted_is_there(load_plugin: LoadPlugin, fault: Fault) -> None:
    """After a frame has its outcome, all that its handler emitted is seen, in order, however much it is."""
    plugin = load_plugin(fault("obedient_plugin"))
    assert plugin.emitted == []
    total = 0
    for count in (1, 3, 300, 1, 700, 2):
        plugin.request(b"emit %d" % count)
        total += count
        assert len(plugin.emitted) == total
    last = plugin.emitted[-1]
    assert (last.plugin_id, last.frame_type, last.flags, last.data) == (1, 0x53, 7, b"1")


@pytest.mark.nyx_plugin(transport="inline", settings=Settings(limits=LimitSettings(event_queue=3)))
def test_what_came_too_fast_is_warned_of(load_plugin: LoadPlugin, fault: Fault) -> None:
    """Frames that one handler emits faster than anybody could take them are counted, and warned of once."""
    plugin = load_plugin(fault("obedient_plugin"))
    assert (plugin.emitted, plugin.lost) == ([], 0)
    plugin.request(b"emit 10")
    with pytest.warns(UserWarning, match="6 notices, such as emitted frames, were lost"):
        assert [frame.data for frame in plugin.emitted] == [b"0", b"7", b"8", b"9"]
    assert (len(plugin.emitted), plugin.lost) == (4, 6)
    assert [line.level_name for line in plugin.logs] == ["WARNING"]


@pytest.mark.nyx_plugin(settings=Settings())
def test_every_log_line_is_there(load_plugin: LoadPlugin, fault: Fault) -> None:
    """Lines of any level are seen, those of ``on_load`` too; more than the rate allows are counted in a last line."""
    plugin = load_plugin(fault("plugin_that_floods_logs"))
    plugin.request(b"3")
    assert len(plugin.logs) == 3
    assert all(isinstance(line, LogLine) and line.level_name == "INFO" for line in plugin.logs)


def test_plugins_of_one_test_are_told_apart(load_plugin: LoadPlugin, fault: Fault) -> None:
    """Two plugins share a system; each has its own replies, emitted frames, lines and events."""
    one = load_plugin(fault("obedient_plugin", plugin_id=1))
    two = load_plugin(fault("obedient_plugin", plugin_id=2))
    one.request(b"emit 2")
    two.request(b"emit 3")
    assert (len(one.emitted), len(two.emitted)) == (2, 3)
    assert {event.plugin_id for event in two.events} == {2}
    assert one.system is two.system


def test_unloading_tells_what_went_wrong(load_plugin: LoadPlugin, fault: Fault) -> None:
    """``unload`` raises what ``on_unload`` raised; what was seen before can still be asked for."""
    plugin = load_plugin(fault("plugin_that_fails_in_unload"))
    with pytest.raises(PluginFailed, match=r"\(unload\): RuntimeError: the tables can't be put away"):
        plugin.unload()
    assert plugin.events[-1].kind is EventKind.UNLOADED
    with pytest.raises(PluginNotRegistered):
        plugin.request(b"x")


COUNTER = """
from nyx_plugins.plugins import Plugin

class P(Plugin):
    count = 0

    def on_data(self, frame):
        self.count += 1
        return b"%d" % self.count

    def snapshot(self):
        return self.count

    def restore(self, state, version):
        BODY
"""


def test_a_swap_shows_whether_state_survives(load_plugin: LoadPlugin, tmp_path: Path) -> None:
    """Without another bundle the plugin is swapped for its own, as that is now; a swap that fails says where."""
    (tmp_path / "plugin.toml").write_text(
        'id = 7\nname = "p"\nversion = "1.0"\napi_version = 1\nentry_point = "plugin:P"\n'
        'permissions = ["data_access"]\n'
    )
    (tmp_path / "plugin.py").write_text(COUNTER.replace("BODY", "self.count = state"))
    plugin = load_plugin(tmp_path)
    before = plugin.info
    assert plugin.request() == b"1"
    (tmp_path / "plugin.py").write_text(COUNTER.replace("BODY", "self.count = state + 10"))
    assert plugin.swap().state_carried
    assert plugin.request() == b"12"
    assert plugin.info.digest != before.digest
    (tmp_path / "plugin.py").write_text(COUNTER.replace("BODY", "raise ValueError('no')"))
    with pytest.raises(SwapFailed, match="restore"):
        plugin.swap()
    assert plugin.request() == b"13"


@echo
def test_unloading_a_good_plugin_raises_nothing(plugin: PluginUnderTest) -> None:
    """And its id is free again."""
    plugin.unload()
    assert plugin.system.loaded_plugins() == []


@pytest.mark.nyx_plugin(bundle="builtin:echo", plugin_id=77, capacity=5, permissions=["data_access"])
def test_the_marker_says_how_the_plugin_is_loaded(plugin: PluginUnderTest) -> None:
    """Whatever ``load`` takes can be said by the marker."""
    assert (plugin.plugin_id, plugin.info.capacity, plugin.info.permissions) == (77, 5, {"data_access"})


@pytest.mark.nyx_plugin(bundle="builtin:echo", plugin_id=77)
def test_a_call_has_the_last_word(load_plugin: LoadPlugin) -> None:
    """What a test says itself goes before its marker, which is for its own bundle only."""
    assert load_plugin(plugin_id=78).plugin_id == 78
    assert load_plugin().plugin_id == 77
    assert load_plugin("builtin:echo").plugin_id == 1002


def test_what_does_not_load_raises(load_plugin: LoadPlugin) -> None:
    """A test can prove that a bundle is refused, and why."""
    with pytest.raises(BundleError):
        load_plugin("nowhere")
    assert load_plugin("builtin:echo").request(b"x") == b"x"


def test_a_bundle_may_have_what_it_asks_for(load_plugin: LoadPlugin, fault: Fault) -> None:
    """Without settings of its own the test's system grants what the first manifest requests, and no more."""
    plugin = load_plugin(fault("raising_plugin", '[sandbox]\nread_paths = ["/etc"]\n'))
    assert plugin.info.policy is not None and plugin.info.policy.read_paths == ("/etc",)
    with pytest.raises(PolicyRefused):
        load_plugin(fault("raising_plugin", '[sandbox]\nread_paths = ["/usr"]\n', plugin_id=2))


@pytest.mark.nyx_plugin(bundle="builtin:echo", settings=Settings(), transport="inline")
def test_the_level_of_the_log_is_put_back(plugin: PluginUnderTest) -> None:
    """Lines of every level are kept during a trial; afterwards the logger is as it was before."""
    logger = logging.getLogger("nyx_plugins.plugin")
    assert logger.level == logging.DEBUG
    book, before = LogBook(), logger.level
    logger.setLevel(logging.ERROR)
    book.open()
    book.close()
    book.close()
    assert (logger.level, book in logger.handlers) == (logging.ERROR, False)
    logger.setLevel(before)


# How tests are found, run and refused; each in a run of its own.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the template, as ``new`` writes it, with the tests in a folder of their own."""
    folder = tmp_path / "greeter"
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    (folder / "test_greeter.py").rename(folder / "tests" / "test_greeter.py")
    return folder


# They are of no use here, and hypothesis takes seconds to import.
_WITHOUT = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "anyio", "xdist", "pytest_cov")]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a folder, and return exit code and output."""
    command = [sys.executable, "-m", "pytest", *_WITHOUT, "-q", "-rs", *arguments]
    with (folder / "output").open("w+") as output:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=150
        )
        output.seek(0)
        return done.returncode, output.read()


def test_the_bundle_is_found_from_the_tests(project: Path) -> None:
    """A test in a folder below the bundle runs in this process and in a worker, under strict markers and warnings."""
    code, output = run(project, "--strict-markers", "-W", "error")
    assert code == 0 and "6 passed" in output, output


def test_one_half_can_be_chosen(project: Path) -> None:
    """The other half is skipped, with the reason."""
    code, output = run(project, "--nyx-transport", "inline")
    assert code == 0 and "3 passed, 3 skipped" in output, output
    assert "--nyx-transport is inline" in output


def test_markers_of_module_class_and_test_add_up(project: Path) -> None:
    """The nearest has the last word for each name."""
    (project / "tests" / "test_greeter.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.nyx_plugin(config={'greeting': 'A'}, plugin_id=5, transport='inline')\n"
        "@pytest.mark.nyx_plugin(plugin_id=6)\n"
        "class TestIt:\n"
        "    @pytest.mark.nyx_plugin(config={'greeting': 'B'})\n"
        "    def test_it(self, plugin):\n"
        "        assert plugin.request(b'x') == b'B, x!'\n"
        "        assert plugin.plugin_id == 6\n"
        "def test_other(plugin):\n"
        "    assert plugin.request(b'x') == b'A, x!'\n"
        "    assert plugin.plugin_id == 5\n"
    )
    code, output = run(project)
    assert code == 0 and "2 passed" in output, output


def test_a_configuration_file_is_named_from_the_test(project: Path) -> None:
    """Settings can be those that an operator will use."""
    (project / "tests" / "nyx.toml").write_text("[limits]\nmax_reply_bytes = 5\n")
    (project / "tests" / "test_greeter.py").write_text(
        "import pytest\n"
        "@pytest.mark.nyx_plugin(settings='nyx.toml')\n"
        "def test_it(plugin):\n"
        "    assert 'ReplyTooLarge' in plugin.send(b'x').reason\n"
    )
    code, output = run(project)
    assert code == 0 and "2 passed" in output, output


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ('id = "x"', "id: must be an integer, not a string ('x')"),
        ('entry_point = "plugin:Nobody"', "module 'plugin' has no 'Nobody'"),
    ],
)
def test_a_bundle_that_does_not_load_fails_in_one_sentence(project: Path, change: str, sentence: str) -> None:
    """No traceback of ours: the fault is in the bundle."""
    manifest = project / "plugin.toml"
    key = change.partition(" ")[0]
    lines = [change if line.startswith(f"{key} ") else line for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines) + "\n")
    code, output = run(project, "--nyx-transport", "inline", "-k", "name")
    assert code == 1 and output.count(sentence) == 1, output
    assert "Traceback" not in output and "trial.py" not in output


def test_a_test_without_a_bundle_is_told_how_to_name_one(tmp_path: Path) -> None:
    """The sentence names the folder and the marker."""
    (tmp_path / "test_lost.py").write_text("def test_lost(plugin): ...\n")
    code, output = run(tmp_path, "--nyx-transport", "inline")
    assert code == 1
    assert f"there is no plugin.toml in {tmp_path} or a folder above it" in output
    assert '@pytest.mark.nyx_plugin(bundle="path/of/the/bundle")' in output


@pytest.mark.parametrize(
    ("marker", "sentence"),
    [
        (
            "bundel='x'",
            "takes bundle, capacity, capacity_bytes, companions, config, permissions, plugin_id, settings, stubs,",
        ),
        ("'builtin:echo'", "by name, not 'builtin:echo'"),
        ("transport='pigeon'", "transport must be inline or unix, not 'pigeon'"),
    ],
)
def test_a_marker_with_a_mistake_is_refused(tmp_path: Path, marker: str, sentence: str) -> None:
    """Nothing is run with something else than was meant."""
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.nyx_plugin({marker})\ndef test_it(plugin): ...\n"
    )
    code, output = run(tmp_path)
    assert code != 0 and sentence in output, output


def test_the_plugin_is_light() -> None:
    """Every run of pytest imports it, also where no plugin is tested: it brings neither actors nor attrs along."""
    program = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport nyx_plugins.testing\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('nyx_plugins')))\n"
        "print(sorted(name for name in sys.modules if name.startswith('nyx_plugins')))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=150)
    assert said.stdout == "[]\n['nyx_plugins', 'nyx_plugins.testing']\n"


def test_the_marker_and_the_option_are_described(tmp_path: Path) -> None:
    """``--markers`` and ``--help`` name them."""
    assert "@pytest.mark.nyx_plugin(bundle=..., capacity=..." in run(tmp_path, "--markers")[1]
    assert "--nyx-transport={inline,unix,both}" in run(tmp_path, "--help")[1]


def test_where_there_are_no_workers_they_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems than Linux an author still has the tests in this process."""
    monkeypatch.setattr(sys, "platform", "darwin")
    inline, unix = (testing._param(transport, "both") for transport in testing.TRANSPORTS)
    assert inline.marks == ()
    assert unix.marks[0].kwargs == {"reason": "workers need Linux"}
    assert testing._param("inline", "unix").marks[0].kwargs == {"reason": "--nyx-transport is unix"}


def test_its_names_are_those_it_has() -> None:
    """What ``__all__`` names is there, and nothing else is."""
    assert [name for name in testing.__all__ if not hasattr(testing, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        testing.Nonsense  # noqa: B018  # looking it up is the point
