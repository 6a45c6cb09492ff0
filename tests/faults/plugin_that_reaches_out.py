"""Does what a data frame says: words, of which the first names a method below; the reply is what came of it."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from nyx_plugins.plugins import Context, Frame, Plugin


class Fault(Plugin):
    """Asks for connections and files, as it should and as it should not."""

    def on_load(self, ctx: Context) -> None:
        """Do what the configuration says."""
        if "on_load" in ctx.config:
            ctx.logger.info(self.on_data(Frame(0x52, 0, ctx.config["on_load"].encode())).decode())

    def on_data(self, frame: Frame) -> bytes:
        """Do it."""
        action, *words = frame.data.decode().split(" ")
        result: bytes = getattr(self, action)(*words)
        return result

    def echo(self, word: str) -> bytes:
        """Say the word."""
        return word.encode()

    def call(self, host: str, port: str, timeout: str = "10") -> bytes:
        """Connect, and read to the end."""
        with self.ctx.connect(host, int(port), float(timeout)) as connection:
            return connection.recv(100)

    def get(self, url: str, ca: str) -> bytes:
        """Get a page over HTTPS."""
        with self.ctx.open(ca, "r") as file:
            response = self.ctx.http.get(url, ca=file.read())
        return b"%d %s" % (response.status, response.body)

    def read(self, path: str) -> bytes:
        """Read a file."""
        with self.ctx.open(path) as file:
            content: bytes = file.read()
        return content

    def write(self, path: str, text: str) -> bytes:
        """Append to a file."""
        with self.ctx.open(path, "a") as file:
            file.write(text)
        return b""

    def together(self, host: str, port: str, count: str) -> bytes:
        """Connect from many threads at once, this one as well."""
        got: list[bytes] = []
        threads = [threading.Thread(target=lambda: got.append(self.call(host, port))) for _ in range(int(count))]
        for thread in threads:
            thread.start()
        got.append(self.call(host, port))
        for thread in threads:
            thread.join()
        return b" ".join(got)

    def later(self, host: str, port: str) -> bytes:
        """Connect from a thread while this worker is idle; what came is emitted."""
        threading.Thread(target=lambda: self.ctx.emit(self.call(host, port))).start()
        return b""

    def vanish(self, host: str, port: str) -> bytes:
        """Have a thread that waits for a connection, and end with it."""
        threading.Thread(target=self.call, args=(host, port), daemon=True).start()
        os._exit(3)

    def refused(self, count: str) -> bytes:
        """Ask for what is denied, many times."""
        for _ in range(int(count)):
            with contextlib.suppress(PermissionError):
                self.ctx.connect("denied.example", 80)
        return b""

    def flood(self, kind: str, count: str) -> bytes:
        """Send requests past the SDK, and read no answer."""
        from nyx_plugins.plugins.worker.protocol import encode

        request: list[Any] = {
            "connect": [17, 0, "denied.example", 80, 1000],
            "open": [18, 0, b"/nowhere", 0],
            "odd": [17, 0, "denied.example", 80, -1],
        }[kind]
        with contextlib.suppress(OSError):
            for number in range(int(count)):
                os.write(_socket(), encode([request[0], number, *request[2:]]))
        return b""

    def twice(self) -> bytes:
        """Make one request two times."""
        from nyx_plugins.plugins.worker.protocol import encode

        os.write(_socket(), encode([17, 5, "localhost", 1, 1000]) * 2)
        return b""

    def unasked(self) -> bytes:
        """Make a request past the SDK, whose answer then comes to nobody."""
        from nyx_plugins.plugins.worker.protocol import encode

        os.write(_socket(), encode([17, 5, "denied.example", 1, 1000]))
        return b""

    def throw(self) -> bytes:
        """Send descriptors to the host."""
        import socket

        with socket.socket(fileno=os.dup(_socket())) as host, open(os.devnull, "rb") as null:
            from nyx_plugins.plugins.worker.protocol import encode

            # The kernel lets so many of them travel at a time, and no more.
            with contextlib.suppress(OSError):
                for _ in range(20):
                    socket.send_fds(host, [encode([15, [[20, "catch"]]])], [null.fileno()] * 50)
        return b""


def _socket() -> int:
    import stat

    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
    raise LookupError("no socket")
