"""Ways to files outside of the policy's paths. ``outside`` is a folder of the same user, ``inside`` the scratch."""

from __future__ import annotations

from .attempt import Attempt

ATTEMPTS = (
    Attempt("read a file by its path", "assert open(f'{outside}/secret').read() == 'secret'"),
    Attempt("write a file by its path", "open(f'{outside}/victim', 'w').write('x')"),
    Attempt("append to a file", "open(f'{outside}/victim', 'a').write('x')"),
    Attempt("create a file", "open(f'{outside}/new', 'x')"),
    Attempt(
        "read through a symbolic link of its own",
        "os.symlink(f'{outside}/secret', f'{inside}/link'); open(f'{inside}/link').read()",
    ),
    Attempt(
        "read through a hard link of its own",
        "os.link(f'{outside}/secret', f'{inside}/hard'); open(f'{inside}/hard').read()",
    ),
    Attempt("rename a file into its scratch", "os.rename(f'{outside}/victim', f'{inside}/taken')"),
    Attempt(
        "rename a file of its own to the outside",
        "open(f'{inside}/mine', 'w').close(); os.rename(f'{inside}/mine', f'{outside}/planted')",
    ),
    Attempt(
        "exchange two files (renameat2)",
        """
        open(f'{inside}/mine', 'w').close()
        syscall((316, 276), -100, f'{inside}/mine'.encode(), -100, f'{outside}/victim'.encode(), 2)
        """,
    ),
    Attempt("go up with ..", "os.chdir(inside); open('../outside/secret').read()"),
    Attempt("read through /proc/self/root", "open(f'/proc/self/root{outside}/secret').read()"),
    Attempt("read through /proc/self/cwd", "os.chdir(outside); open('/proc/self/cwd/secret').read()"),
    Attempt("read through the parent's /proc/PID/root", "open(f'/proc/{parent}/root{outside}/secret').read()"),
    Attempt(
        "open a file by a raw system call (ctypes)",
        "fd = syscall((257, 56), -100, f'{outside}/secret'.encode(), 0); assert os.read(fd, 9) == b'secret'",
    ),
    Attempt(
        "openat2 by a raw system call",
        "syscall(437, -100, f'{outside}/secret'.encode(), struct.pack('QQQ', 0, 0, 0), 24)",
    ),
    Attempt(
        "open a file by a handle",
        """
        handle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))
        mount = ctypes.c_int()
        syscall((303, 264), -100, f'{outside}/secret'.encode(), handle, ctypes.byref(mount), 0)
        root = os.open('/', os.O_RDONLY)
        os.read(syscall((304, 265), root, handle, 0), 9)
        """,
        ordinary=False,
    ),
    Attempt("remove a file", "os.remove(f'{outside}/victim')"),
    Attempt("truncate a file", "os.truncate(f'{outside}/victim', 0)"),
    Attempt("make a folder", "os.mkdir(f'{outside}/folder2')"),
    Attempt("remove a folder", "os.rmdir(f'{outside}/folder')"),
    Attempt("list a folder", "os.listdir(outside)"),
    Attempt("chmod", "os.chmod(f'{outside}/victim', 0o777)"),
    Attempt(
        "chmod through a path descriptor (fchmodat)",
        """
        fd = os.open(outside, os.O_PATH)
        os.chmod('victim', 0o777, dir_fd=fd)
        """,
    ),
    Attempt("chown", "os.chown(f'{outside}/victim', 12345, 12345)", ordinary=False),
    Attempt("set times", "os.utime(f'{outside}/victim', (1, 1))"),
    Attempt("set an extended attribute", "os.setxattr(f'{outside}/victim', 'user.x', b'1')"),
    Attempt(
        "watch a folder with inotify",
        """
        fd = libc('inotify_init1', 0)
        libc('inotify_add_watch', fd, outside.encode(), 0xFFF)
        """,
    ),
    Attempt(
        "watch the filesystem with fanotify",
        """
        fd = syscall((300, 262), 0, 0)
        syscall((301, 263), fd, 1, ctypes.c_long(2), -100, outside.encode())
        """,
        ordinary=False,
    ),
    Attempt("io_uring", "syscall(425, 8, ctypes.create_string_buffer(120))"),
    Attempt("make a device", "os.mknod(f'{inside}/null', 0o20600, os.makedev(1, 3))", ordinary=False),
    Attempt(
        "mount",
        """
        libc('mount', b'none', inside.encode(), b'tmpfs', 0, None)
        libc('umount2', inside.encode(), 2)
        """,
        ordinary=False,
    ),
    Attempt("chroot", "os.chroot(outside)", ordinary=False),
    Attempt(
        "leave a file in /dev/shm",
        """
        path = f'/dev/shm/nyx-escape-{os.getpid()}'
        open(path, 'x').close()
        os.remove(path)
        """,
    ),
    Attempt("read what other programs may read", "open('/etc/passwd').read()"),
    Attempt("use a descriptor that the host left open", "assert os.pread(leaked, 6, 0) == b'secret'"),
)
