"""What is done for plugins outside their workers: only what the policy allows, to where it was checked."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors.outside import Place, fulfil, resolve_here
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker.answers import Connect, Open
from nyx_plugins.plugins.worker.outside import Refusal
from nyx_plugins.plugins.worker.protocol import BY_POLICY, BY_RESOLVER, BY_SYSTEM

WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


class Names:
    """A resolver with one answer, which counts how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.asked: list[tuple[str, int]] = []
        self._addresses = addresses

    def __call__(self, host: str, port: int) -> list[Place]:
        """Resolve."""
        self.asked.append((host, port))
        return [
            (socket.AF_INET6, (text, port, 0, 0)) if ":" in text else (socket.AF_INET, (text, port))
            for text in self._addresses
        ]


def connect(policy: Policy, host: str, port: int, names: Names, within_s: float = 10.0) -> int | Refusal:
    """Connect as a plugin asks for it."""
    return fulfil(policy, Connect(1, host, port, 10_000), time.monotonic() + within_s, names)


def denied(answer: int | Refusal) -> str:
    """Return the policy's reason."""
    assert isinstance(answer, Refusal), os.close(answer)
    assert (answer.cause, answer.errno) == (BY_POLICY, errno.EACCES)
    return answer.text


def failed(answer: int | Refusal) -> int:
    """Return the number of the system's error."""
    assert isinstance(answer, Refusal), os.close(answer)
    assert answer.cause == BY_SYSTEM
    return answer.errno


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Return a socket that listens on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    """Return the port of a server."""
    return int(server.getsockname()[1])


def test_a_connection_is_made(server: socket.socket) -> None:
    """An allowed host is resolved by the name that was judged, and the descriptor is connected to its address."""
    names = Names("127.0.0.1")
    answer = connect(Policy(network=("LOCALHOST",)), "LocalHost.", port_of(server), names)
    assert isinstance(answer, int)
    with socket.socket(fileno=answer) as ours, server.accept()[0] as theirs:
        ours.sendall(b"hello")
        assert theirs.recv(10) == b"hello"
        assert ours.gettimeout() is None
        assert not os.get_inheritable(answer)
    assert names.asked == [("localhost", port_of(server))]


def test_a_denied_host_is_not_resolved() -> None:
    """What the policy does not allow is not even asked for, since questions for names can carry data out."""
    names = Names("127.0.0.1")
    answer = connect(Policy(network=("good.example",)), "secret.evil.example", 80, names)
    assert "'secret.evil.example' is not in the network list (good.example)" in denied(answer)
    assert names.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1",
     "fe80::1%lo", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1"],
)  # fmt: skip
def test_a_public_name_does_not_lead_to_private_addresses(address: str) -> None:
    """A name that somebody points at this machine or its network is refused, whatever the address looks like."""
    answer = connect(Policy(network=("*", "rebound.example")), "rebound.example", 80, Names(address))
    assert "'rebound.example' leads to" in denied(answer)


def test_only_the_addresses_that_were_checked_are_tried(server: socket.socket) -> None:
    """Among several addresses those that are not allowed are left out, and the others are tried in their order."""
    policy = Policy(network=("localhost",), deny_network=("127.0.0.2",))
    answer = connect(policy, "localhost", port_of(server), Names("127.0.0.2", "127.0.0.3", "127.0.0.1"))
    assert isinstance(answer, int)
    with socket.socket(fileno=answer) as ours:
        assert ours.getpeername()[0] == "127.0.0.1"


def test_a_name_is_resolved_once(server: socket.socket) -> None:
    """The address that was judged is the one that is connected to: a second answer has no chance to differ."""
    names = Names("127.0.0.1")
    answer = connect(Policy(network=("localhost",)), "localhost", port_of(server), names)
    assert isinstance(answer, int)
    os.close(answer)
    assert len(names.asked) == 1


def test_nobody_listens() -> None:
    """A refused connection says who refused it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = port_of(bound)
        answer = connect(Policy(network=("127.0.0.1",)), "127.0.0.1", port, Names("127.0.0.1"))
    assert answer == Refusal(BY_SYSTEM, errno.ECONNREFUSED, f"Connection refused (127.0.0.1, port {port})")


def test_a_server_that_does_not_answer(server: socket.socket) -> None:
    """A connection that is not made in time is a timeout, and each address gets a share of the time."""
    server.listen(0)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port_of(server)))
        policy = Policy(network=("localhost",))
        names = Names("127.0.0.1", "127.0.0.1")
        assert failed(connect(policy, "localhost", port_of(server), names, 0.05)) == errno.ETIMEDOUT


def test_too_late_is_not_tried() -> None:
    """When the names have taken all the time, no connection is begun."""
    answer = connect(Policy(network=("localhost",)), "localhost", 1, Names("127.0.0.1"), -1.0)
    assert failed(answer) == errno.ETIMEDOUT


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name unknown"), Refusal(BY_RESOLVER, socket.EAI_NONAME, "Name unknown")),
        (UnicodeError("label empty or too long"), Refusal(BY_SYSTEM, errno.EINVAL, "label empty or too long")),
        (RuntimeError("odd"), Refusal(BY_SYSTEM, errno.EIO, "RuntimeError: odd")),
    ],
)
def test_what_a_resolver_raises_is_an_answer(error: Exception, refusal: Refusal) -> None:
    """Whatever goes wrong, the plugin is told, and no exception is left over."""

    def resolve(host: str, port: int) -> list[Place]:
        raise error

    policy = Policy(network=("name.example",))
    assert fulfil(policy, Connect(1, "name.example", 80, 1000), time.monotonic() + 1, resolve) == refusal


def test_a_name_without_addresses() -> None:
    """An empty answer is refused."""
    assert "has no address" in denied(connect(Policy(network=("name.example",)), "name.example", 80, Names()))


def test_the_system_resolver_knows_addresses() -> None:
    """Addresses stand for themselves, once each."""
    assert resolve_here("127.0.0.1", 80) == [(socket.AF_INET, ("127.0.0.1", 80))]


# Files.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder to which a policy can be given, beside one with a secret."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def open_file(policy: Policy, path: Path | str, flags: int = os.O_RDONLY) -> int | Refusal:
    """Open as a plugin asks for it."""
    return fulfil(policy, Open(1, os.fsencode(path), flags), time.monotonic() + 10)


def test_a_file_is_read(folder: Path) -> None:
    """A file below a read path is opened for reading only."""
    (folder / "file").write_text("content")
    fd = open_file(Policy(read_paths=(str(folder),)), folder / "file")
    assert isinstance(fd, int)
    assert os.read(fd, 100) == b"content"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_file_is_written(folder: Path) -> None:
    """Below a write path, files are made, cut, appended to, and made only once, as the flags say."""
    policy = Policy(write_paths=(str(folder),))
    path = folder / "file"
    for flags, text, content in (
        (WRITE, b"one and more", b"one and more"),
        (WRITE, b"one", b"one"),
        (os.O_WRONLY | os.O_CREAT | os.O_APPEND, b"two", b"onetwo"),
        (os.O_RDWR, b"X", b"Xnetwo"),
    ):
        fd = open_file(policy, path, flags)
        assert isinstance(fd, int)
        os.write(fd, text)
        os.close(fd)
        assert path.read_bytes() == content
    assert failed(open_file(policy, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)) == errno.EEXIST


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, WRITE, os.O_RDONLY | os.O_TRUNC, os.O_RDONLY | os.O_CREAT])
def test_read_paths_are_not_written(folder: Path, flags: int) -> None:
    """Whatever would change a file below a read path is denied, and changes nothing."""
    (folder / "file").write_text("content")
    reason = denied(open_file(Policy(read_paths=(str(folder),)), folder / "file", flags))
    assert "is not in the allowed paths" in reason
    assert (folder / "file").read_text() == "content"


def test_denied_paths_are_neither_read_nor_written(folder: Path) -> None:
    """Deny wins over allow; what may not be read may not be written either."""
    for name in ("unread", "unwritten"):
        (folder / name).write_text(name)
    policy = Policy(
        write_paths=(str(folder),), deny_read_paths=(f"{folder}/unread",), deny_write_paths=(f"{folder}/unwritten",)
    )
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        assert "denied paths" in denied(open_file(policy, folder / "unread", flags))
    for flags in (WRITE, os.O_RDWR):
        assert "denied paths" in denied(open_file(policy, folder / "unwritten", flags))
    fd = open_file(policy, folder / "unwritten", os.O_RDONLY)
    assert isinstance(fd, int)
    os.close(fd)


@pytest.mark.parametrize(
    "path", ["../secret", "link", "linked/secret", "hole/../../secret", "/proc/self/root/etc/passwd"]
)
def test_no_path_leads_out(folder: Path, path: str) -> None:
    """Neither dots nor links nor magic links get out of the paths."""
    (folder / "link").symlink_to("../secret")
    (folder / "linked").symlink_to("..")
    assert "is not in the allowed paths" in denied(open_file(Policy(write_paths=(str(folder),)), folder / path))


def test_a_link_that_stays_inside_is_followed(folder: Path) -> None:
    """A link to a file that the policy allows leads there, to one that is not there yet as well."""
    (folder / "file").write_text("content")
    (folder / "link").symlink_to("file")
    (folder / "dangling").symlink_to("new")
    policy = Policy(write_paths=(str(folder),))
    for name, flags in (("link", os.O_RDONLY), ("dangling", WRITE)):
        fd = open_file(policy, folder / name, flags)
        assert isinstance(fd, int)
        os.close(fd)
    assert (folder / "new").exists()


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_link_put_there_in_between_is_not_followed(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or a folder that becomes a link after its path was judged is refused."""
    real = os.path.realpath
    inner = folder / "inner"
    inner.mkdir()
    (inner / "secret").write_text("harmless")

    def swap(path: str, **options: bool) -> str:
        resolved = real(path, **options)
        if where == "file":
            (inner / "secret").unlink(missing_ok=True)
            (inner / "secret").symlink_to(folder.parent / "secret") if not (inner / "secret").is_symlink() else None
        elif not inner.is_symlink():
            inner.rename(folder / "moved")
            inner.symlink_to(folder.parent)
        return str(inner / "secret") if resolved.endswith("secret") else resolved

    policy = Policy(read_paths=(str(folder),))
    monkeypatch.setattr(os.path, "realpath", swap)
    answer = open_file(policy, inner / "secret")
    assert isinstance(answer, Refusal)
    assert answer.errno == errno.ENOTDIR or "no regular file" in answer.text


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK])
def test_only_regular_files_are_opened(folder: Path, kind: int) -> None:
    """A pipe or a socket is denied without being opened, which could wait for ever."""
    os.mknod(folder / "special", kind | 0o600)
    policy = Policy(write_paths=(str(folder),))
    for flags in (os.O_RDONLY, os.O_WRONLY, WRITE):
        assert "is no regular file" in denied(open_file(policy, folder / "special", flags))


def test_devices_are_not_opened() -> None:
    """A device is denied, even where the path is allowed."""
    assert "'/dev/null' is no regular file" in denied(open_file(Policy(read_paths=("/dev",)), "/dev/null"))


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/thread-self/mem", "/dev/fd/0", "/proc/1/environ"])
def test_processes_are_not_looked_into(path: str) -> None:
    """What is in /proc is denied, even where the path is allowed: it would be the plugin actor's view of it."""
    answer = open_file(Policy(read_paths=("/proc", "/dev")), path)
    assert isinstance(answer, Refusal)
    assert answer.cause == BY_POLICY


def test_folders_are_not_opened(folder: Path) -> None:
    """A folder is no file, and the root is one."""
    assert failed(open_file(Policy(read_paths=(str(folder),)), folder)) == errno.EISDIR
    assert failed(open_file(Policy(read_paths=("/",)), "/")) == errno.EISDIR


@pytest.mark.parametrize("path", ["file", "file/below", "no/such"])
def test_what_is_not_there(folder: Path, path: str) -> None:
    """A missing file is ENOENT, a path below a file ENOTDIR."""
    (folder / "real").write_text("")
    path = path.replace("file/", "real/")
    expected = errno.ENOTDIR if path.startswith("real/") else errno.ENOENT
    assert failed(open_file(Policy(read_paths=(str(folder),)), folder / path)) == expected


@pytest.mark.parametrize("path", [b"", b"relative", b"/a\0b", b"/a\xffb"])
def test_odd_paths_are_refused(path: bytes) -> None:
    """A path that is empty, relative or no text is refused, and nothing is raised."""
    answer = fulfil(Policy(read_paths=("/nowhere",)), Open(1, path, os.O_RDONLY), time.monotonic() + 1)
    assert isinstance(answer, Refusal)


def test_nothing_is_left_open(folder: Path) -> None:
    """Neither success nor any failure leaves a descriptor besides the one that is returned."""
    (folder / "file").write_text("")
    os.mkfifo(folder / "pipe")
    policy = Policy(write_paths=(str(folder),), network=("127.0.0.1",))
    before = len(os.listdir("/proc/self/fd"))
    for path in ("file", "pipe", "missing", "file/x", "../secret", "."):
        answer = open_file(policy, folder / path)
        if isinstance(answer, int):
            os.close(answer)
    connect(policy, "127.0.0.1", 1, Names("127.0.0.1"))
    assert len(os.listdir("/proc/self/fd")) == before
