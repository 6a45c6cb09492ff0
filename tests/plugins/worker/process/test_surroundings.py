"""What a real worker can see: modules, environment, descriptors, configuration, limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cbor2
import pytest

from nyx_plugins.plugins.worker.jail import plan

from .conftest import Start

SEES = """
def on_control(self, frame):
    return "\\n".join(sorted(sys.modules)).encode()
"""
HEAVY = {
    *("nyx_plugins.actors", "thespian", "attr", "attrs", "cattrs", "packaging", "site"),
    *("typing", "re", "enum"),
    *("logging", "tomllib", "json", "ctypes", "subprocess", "threading", "socket", "asyncio", "traceback"),
    *("nyx_plugins.plugins.wire", "nyx_plugins.plugins.worker.spawn", "nyx_plugins.plugins.worker.answers"),
}


def test_a_worker_loads_little(ready: Start) -> None:
    """A worker has loaded neither actors nor anything that would make its start slow."""
    loaded = set(ready(SEES).reply(frame_type=0x53).decode().split("\n"))
    assert loaded & HEAVY == set()
    assert {"nyx_plugins.plugins.sdk", "cbor2._cbor2"} <= loaded


IMPORTS = """
def on_data(self, frame):
    __import__(frame.data.decode())
    return str(sys.modules[frame.data.decode()].__name__).encode()
"""


@pytest.mark.parametrize("name", ["json", "sqlite3", "cbor2", "nyx_plugins", "nyx_plugins.plugins.header"])
def test_a_worker_can_import(ready: Start, name: str) -> None:
    """A plugin can import the standard library, cbor2 and the SDK."""
    assert ready(IMPORTS).reply(name.encode()) == name.encode()


@pytest.mark.parametrize("name", ["hypothesis", "pytest", "thespian", "nyx_plugins.actors", "nyx_plugins.load_tests"])
def test_a_worker_cannot_import(ready: Start, name: str) -> None:
    """Other installed packages, and the runtime's own actors, are not there for a plugin."""
    assert ready(IMPORTS).reply(name.encode()) == ["ModuleNotFoundError", f"No module named {name!r}"]


NAMES = """
def on_data(self, frame):
    import nyx_plugins.plugins as kit
    missing = []
    for name in kit.__all__:
        try:
            getattr(kit, name)
        except ImportError as error:
            missing.append(str(error).partition(":")[0])
    return ", ".join(missing).encode()
def on_control(self, frame):
    from nyx_plugins import FrameType as other
    from nyx_plugins.plugins import FrameType
    return f"{FrameType.CONTROL!r} {other is FrameType} {'attrs' in sys.modules}".encode()
"""


def test_a_worker_has_all_names_for_authors(ready: Start) -> None:
    """What is exported for authors can be imported in a worker; the few for applications say that they are."""
    worker = ready(NAMES)
    for_applications = ("PluginHeader", "StreamDecoder", "StreamFrame", "close_frame")
    assert worker.reply().decode() == ", ".join(f"{name} is for applications" for name in for_applications)
    assert worker.reply(frame_type=0x53) == b"<FrameType.CONTROL: 83> True False"


def test_extra_packages_can_be_imported(ready: Start) -> None:
    """A package that the host lists can be imported, and its sub-modules with it."""
    worker = ready(IMPORTS, packages=("iniconfig",))
    assert worker.reply(b"iniconfig.exceptions") == b"iniconfig.exceptions"


METADATA = """
def on_data(self, frame):
    import importlib.metadata
    return importlib.metadata.version(frame.data.decode()).encode()
def on_control(self, frame):
    from namespace import inner
    return inner.TEXT
"""


def test_packages_in_the_bundle_have_their_metadata_and_namespaces(ready: Start, tmp_path: Path) -> None:
    """Of an installed package the code is there alone; one that pip has put into the bundle is there as a whole."""
    (tmp_path / "namespace" / "inner").mkdir(parents=True)
    (tmp_path / "namespace" / "inner" / "__init__.py").write_text("TEXT = b'inside'\n")
    (tmp_path / "acme_inner-1.5.dist-info").mkdir()
    (tmp_path / "acme_inner-1.5.dist-info" / "METADATA").write_text("Name: acme-inner\nVersion: 1.5\n")
    worker = ready(METADATA, packages=("iniconfig",))
    assert worker.reply(b"iniconfig")[0] == "PackageNotFoundError"
    assert worker.reply(b"acme-inner") == b"1.5"
    assert worker.reply(frame_type=0x53) == b"inside"


WHOLE_CBOR2 = """
def on_data(self, frame):
    import cbor2
    from nyx_plugins.plugins.worker import protocol
    assert cbor2.__file__.endswith("__init__.py"), cbor2.__file__
    assert cbor2.dumps is protocol.dumps
    return cbor2.dumps(cbor2.loads(frame.data) + [cbor2.TagHook.__name__])
"""


def test_a_plugin_gets_all_of_cbor2(ready: Start) -> None:
    """The worker itself loads half of cbor2, but a plugin that imports cbor2 gets the whole, once."""
    assert cbor2.loads(ready(WHOLE_CBOR2).reply(cbor2.dumps([1]))) == [1, "Callable"]


def test_the_environment_is_clean(ready: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sees a few fixed variables, and those that it is allowed, if they are set."""
    monkeypatch.setenv("SECRET", "s3cret")
    monkeypatch.setenv("ALLOWED", "yes")
    worker = ready(
        "def on_data(self, frame): return repr(sorted(os.environ.items())).encode()", environment=("ALLOWED", "UNSET")
    )
    fixed = {
        "LANG": "C.UTF-8",
        "MALLOC_MMAP_THRESHOLD_": "1048576",
        "MALLOC_TRIM_THRESHOLD_": "4194304",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    assert worker.reply() == repr([("ALLOWED", "yes"), *fixed.items()]).encode()


OPEN = """
def on_data(self, frame):
    return repr([fd for fd in range(256) if os.path.lexists(f"/proc/self/fd/{fd}")]).encode()
"""


def test_only_the_intended_descriptors_are_open(ready: Start) -> None:
    """A worker holds its standard streams and its socket; the page is mapped, and its descriptors are closed."""
    secret = os.memfd_create("secret")
    os.set_inheritable(secret, True)
    try:
        worker = ready(OPEN)
        assert worker.reply() == repr([0, 1, 2, worker.fd]).encode()
    finally:
        os.close(secret)


def test_the_socket_is_not_inherited_by_what_a_plugin_starts(ready: Start) -> None:
    """The worker's socket is closed in programs that the plugin executes."""
    worker = ready("def on_data(self, frame): return str(os.get_inheritable(int(frame.data))).encode()")
    assert worker.reply(b"%d" % worker.fd) == b"False"


def test_the_command_line_is_hidden(ready: Start) -> None:
    """A plugin finds no arguments that are none of its business."""
    assert ready("def on_data(self, frame): return str(len(sys.argv)).encode()").reply() == b"1"


def test_a_worker_writes_no_bytecode(ready: Start, tmp_path: Path) -> None:
    """Loading a plugin leaves nothing in the bundle's directory."""
    ready()
    assert [path.name for path in tmp_path.iterdir()] == ["plugin.py"]


def test_the_configuration_arrives_as_it_was(ready: Start) -> None:
    """The plugin's ctx has its id, name and configuration, nested as deep as it likes."""
    config: dict[str, Any] = {"a": [1, -2, 2.5, True, None, "x", b"y", {"b": {"c": [[[[]]]]}}]}
    worker = ready(
        "def on_data(self, frame): return repr([self.ctx.plugin_id, self.ctx.name, self.ctx.config]).encode()",
        plugin_id=77,
        name="configured",
        config=config,
    )
    assert worker.reply() == repr([77, "configured", config]).encode()


LIMITS = """
def on_data(self, frame):
    import resource
    return repr([resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in ("DATA", "NOFILE", "CPU")]).encode()
"""


def limits(**grants: Any) -> list[tuple[str, Any]]:
    """Order the layer of limits alone."""
    return [("limits", plan.limits(plan.Grants(**grants)))]


def test_limits_are_set(ready: Start) -> None:
    """The limits of START are in force before the plugin is loaded."""
    worker = ready(LIMITS, jail=limits(memory_bytes=1 << 30, open_files=40, cpu_seconds=30))
    assert worker.reply() == repr([(1 << 30, 1 << 30), (40, 40), (30, 31)]).encode()


def test_too_much_memory_fails_the_frame(ready: Start) -> None:
    """A handler that wants more than the limit gets a MemoryError; the worker goes on."""
    worker = ready(
        "def on_data(self, frame): return b'%d' % len(bytearray(int(frame.data)))", jail=limits(memory_bytes=1 << 28)
    )
    assert worker.reply(b"1000000000") == ["MemoryError", ""]
    assert worker.reply(b"1000") == b"1000"
