"""What still works in the jail: the usual libraries of a plugin that keeps to itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs_worker(reason="there is no jail in the application's process")

WORKS = {
    "asyncio": """
        import asyncio
        async def tell(n):
            await asyncio.sleep(0.001)
            return n
        async def all(): return sum(await asyncio.gather(*map(tell, range(10))))
        result = asyncio.run(all())
        """,
    "asyncio in threads": """
        import asyncio
        async def main(): return await asyncio.to_thread(sum, range(10))
        result = asyncio.run(main())
        """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool: result = sum(pool.map(int, "0123456789"))
        """,
    "sqlite in memory": """
        import sqlite3
        base = sqlite3.connect(":memory:")
        base.executescript("create table t (n); insert into t values (45)")
        [[result]] = base.execute("select n from t")
        """,
    "sqlite with a log (WAL)": """
        import sqlite3
        base = sqlite3.connect(f"{ctx.scratch}/base.sqlite")
        [[mode]] = base.execute("pragma journal_mode = wal")
        assert mode == "wal"
        with base: base.executescript("create table t (n); insert into t values (45)")
        base.execute("vacuum")
        [[result]] = sqlite3.connect(f"{ctx.scratch}/base.sqlite").execute("select n from t")
        base.close()
        """,
    "tempfile": """
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file:
            assert folder.startswith(ctx.scratch)
            file.write(bytes(45)); file.flush()
            result = os.path.getsize(file.name)
        with tempfile.TemporaryFile() as file: file.write(b"x")
        """,
    "files in the scratch": """
        import os, pathlib, shutil
        folder = pathlib.Path(ctx.scratch, "a", "b")
        folder.mkdir(parents=True)
        (folder / "one").write_bytes(bytes(45))
        shutil.copyfile(folder / "one", folder / "two")
        (folder / "two").rename(folder.parent / "three")
        (folder / "link").symlink_to("one")
        result = len((folder / "link").read_bytes())
        assert sorted(p.name for p in folder.iterdir()) == ["link", "one"]
        shutil.rmtree(folder.parent)
        """,
    "memory that is mapped": """
        import mmap
        with open(f"{ctx.scratch}/m", "w+b") as file:
            file.truncate(4096)
            with mmap.mmap(file.fileno(), 4096) as page:
                page[0] = 45
                result = page[0]
        """,
    "zoneinfo": """
        import datetime, zoneinfo
        moment = datetime.datetime(2024, 7, 1, 0, 45, tzinfo=zoneinfo.ZoneInfo("Europe/Vienna"))
        assert moment.utcoffset().seconds == 7200
        result = moment.minute
        """,
    "json": "import json; result = json.loads(json.dumps({'n': [45]}))['n'][0]",
    "zlib, bz2, lzma": """
        import bz2, lzma, zlib
        result = sum(len(m.decompress(m.compress(bytes(15)))) for m in (zlib, bz2, lzma))
        """,
    "ssl": """
        import ssl
        context = ssl.create_default_context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        result = 45
        """,
    "hashes and random numbers": """
        import hashlib, random, secrets, uuid
        assert len(hashlib.sha256(secrets.token_bytes(9)).digest()) == 32 and uuid.uuid4() and random.random() < 1
        result = 45
        """,
    "ctypes with a callback": """
        import ctypes
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
        values = (ctypes.c_int * 3)(9, 45, 1)
        ctypes.CDLL(None).qsort(values, 3, 4, compare(lambda a, b: b[0] - a[0]))
        result = values[0]
        """,
    "a pair of sockets": """
        import socket
        a, b = socket.socketpair()
        a.sendall(bytes(45)); a.close()
        result = len(b.makefile("rb").read())
        """,
    "signals to itself": """
        import os, signal
        got = []
        signal.signal(signal.SIGALRM, lambda *_: got.append(45))
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while not got: pass
        os.kill(os.getpid(), 0)
        signal.raise_signal(signal.SIGALRM)
        result = got[0]
        """,
    "logging": "import logging; logging.basicConfig(); logging.getLogger('x').warning('hello'); result = 45",
    "cbor2": "import cbor2; result = cbor2.loads(cbor2.dumps(45))",
    "the bundle's own files": """
        import plugin
        result = 45 if 'class Fault' in open(plugin.__file__).read() else 0
        """,
}


@pytest.fixture
def inside(prisoner: Callable[..., Any]) -> Any:
    """Return a plugin with a scratch directory and memory for it."""
    return prisoner("scratch_bytes = 16777216\nmemory_bytes = 268435456\nthreads = 16\n")


def test_the_usual_libraries_work(inside: Any) -> None:
    """Each of them does what it does outside."""
    found = {name: inside.run(code) for name, code in WORKS.items()}
    assert found == dict.fromkeys(WORKS, "45")
    assert inside.system.plugin_stats(1).restarts == 0


def test_numpy_works(prisoner: Callable[..., Any]) -> None:
    """A package that the ceiling lists and the bundle asks for can be imported, compiled parts and all."""
    plugin = prisoner('packages = ["numpy"]\nmemory_bytes = 268435456\n')
    assert plugin.run("import numpy; result = int((numpy.arange(10.0).reshape(2, 5) @ numpy.ones(5)).sum())") == "45"
    assert "ModuleNotFoundError" in plugin.fails("import hypothesis")


def test_a_package_that_is_not_installed_refuses_the_load(prisoner: Callable[..., Any], ceiling: Any) -> None:
    """The load fails, and the error names the package."""
    object.__setattr__(ceiling, "packages", ("no_such_package",))
    with pytest.raises(Exception, match="no_such_package"):
        prisoner('packages = ["no_such_package"]')


def test_paths_of_the_policy_can_be_used(prisoner: Callable[..., Any], tmp_path: Path) -> None:
    """What may be read is read, what may be written is written, and what is denied within it is neither."""
    for name in ("open", "open/closed", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "open" / "file").write_text("readable")
    (tmp_path / "open" / "closed" / "file").write_text("secret")
    plugin = prisoner(
        f'read_paths = ["{tmp_path}/open"]\nwrite_paths = ["{tmp_path}/out"]\n'
        f'deny_read_paths = ["{tmp_path}/open/closed"]\n'
    )
    assert plugin.run(f"result = open('{tmp_path}/open/file').read()") == "readable"
    assert plugin.run(f"open('{tmp_path}/out/new', 'w').write('written'); result = 1") == "1"
    assert (tmp_path / "out" / "new").read_text() == "written"
    assert "SandboxViolation: write to" in plugin.fails(f"open('{tmp_path}/open/new', 'w')")
    assert "denied" in plugin.fails(f"open('{tmp_path}/open/closed/file')").lower()


def test_processes_can_be_allowed(prisoner: Callable[..., Any]) -> None:
    """With subprocesses on, a plugin runs programs; they are confined as it is itself."""
    plugin = prisoner("subprocesses = true")
    assert plugin.run("import subprocess; result = subprocess.check_output(['/bin/echo', 'hi']).strip()") == "b'hi'"
    told = plugin.run(
        "import subprocess; result = subprocess.run(['/bin/cat', '/etc/passwd'], capture_output=True).stderr.decode()"
    )
    assert "Permission denied" in told


def test_the_scratch_directory_is_empty_at_each_start(prisoner: Callable[..., Any], wait_event: Any) -> None:
    """What a worker left there is gone when the next one starts, however deep it is."""
    plugin = prisoner("scratch_bytes = 16777216")
    deep = """
        import os
        os.chdir(ctx.scratch)
        name = "deeper" * 40
        for _ in range(100):
            os.mkdir(name); os.chdir(name)
        open("file", "w").close()
        """
    plugin.run(deep)
    with plugin.system.subscribe() as events:
        plugin.send("import os; os._exit(9)")
        wait_event(events, "restarted", 1, timeout=30.0)
    assert plugin.run("import os; result = os.listdir(ctx.scratch)") == "[]"
    plugin.run(deep)
    plugin.system.unload(1)


def test_nobody_waits_for_the_removal_of_much(prisoner: Callable[..., Any], census: Any, ends: Any) -> None:
    """Its names are free when the plugin is unloaded; a process removes it that ends then."""
    plugin = prisoner("scratch_bytes = 16777216")
    plugin.run("for n in range(1000): open(f'{ctx.scratch}/{n}', 'w').close()")
    runtime = Path(plugin.run("result = ctx.scratch")).parents[2]
    plugin.system.unload(1)
    assert list((runtime / "plugins").iterdir()) == []
    found = census(plugin.system)
    assert ends({*found.everyone} - {*found.permanent}).still_there(60.0) == []
    assert list((runtime / "removed").iterdir()) == []
