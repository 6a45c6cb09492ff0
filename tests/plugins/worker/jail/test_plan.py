"""What each layer is told, worked out from what a plugin may touch."""

from __future__ import annotations

import os
import resource
import sysconfig
from pathlib import Path

import pytest

from nyx_plugins.plugins.worker.jail import LAYERS, JailError, landlock, layer, plan, put_on
from nyx_plugins.plugins.worker.jail.plan import Grants, Worker

WORKER = Worker(4711, 4700, (5,))


def rights(grants: Grants) -> dict[str, int]:
    """Return the rights to each path; those of several rules for one path add up."""
    found: dict[str, int] = {}
    for path, given in [*plan.files(grants), *plan.policy_files(grants)]:
        found[path] = found.get(path, 0) | given
    return found


def test_orders_come_in_the_order_of_the_layers() -> None:
    """Every layer of this machine is told something, the filter last."""
    names = [name for name, _ in plan.orders(Grants(), WORKER, 9)]
    assert names == [name for name in LAYERS if name not in plan.unavailable()]


def test_layers_can_be_left_out() -> None:
    """Without a ruleset there is no Landlock; tests leave out what they like."""
    assert "landlock" not in dict(plan.orders(Grants(), WORKER, None))
    assert [name for name, _ in plan.orders(Grants(), WORKER, 9, without=set(LAYERS) - {"session"})] == ["session"]


def test_a_worker_is_told_who_it_is() -> None:
    """Descriptors, parent and directory are those of this worker."""
    told = dict(plan.orders(Grants(scratch="/scratch", environment=("PATH",)), WORKER, 9))
    assert told["descriptors"] == [5, 9]
    assert told["parent_death"] == 4700
    assert told["session"] == "/scratch"
    assert told["environment"] == ["PATH"]
    assert told["landlock"] == 9


def test_paths_have_their_rights(tmp_path: Path) -> None:
    """Read paths are read, write paths read and written, and nothing is executed."""
    read, write, scratch = (str(tmp_path / name) for name in ("read", "write", "scratch"))
    found = rights(Grants(code=("/bundle",), read_paths=(read,), write_paths=(write,), scratch=scratch))
    both = landlock.READ | landlock.WRITE
    assert {path: found[path] for path in ("/bundle", read, write, scratch)} == {
        "/bundle": landlock.READ,
        read: landlock.READ,
        write: both,
        scratch: both,
    }
    assert not any(given & landlock.EXECUTE for given in found.values())
    assert {path for path, given in found.items() if given & landlock.WRITE_FILE} == {"/dev/null", write, scratch}


def test_programs_are_executed_only_where_that_is_allowed() -> None:
    """With subprocesses the usual folders of programs can be executed, and not the scratch."""
    found = rights(Grants(subprocesses=True, scratch="/scratch"))
    assert found["/usr/bin"] & landlock.EXECUTE
    assert not found["/scratch"] & landlock.EXECUTE


def test_what_is_installed_beside_the_standard_library_is_not_granted() -> None:
    """A plugin sees the modules of Python, and neither site-packages nor the folder that holds them."""
    stdlib = sysconfig.get_path("stdlib")
    found = rights(Grants())
    assert os.path.join(stdlib, "json") in found
    assert not {stdlib, os.path.join(stdlib, "site-packages"), os.path.dirname(stdlib)} & set(found)


def test_denied_paths_are_cut_out(tmp_path: Path) -> None:
    """Of a granted folder with a denied one in it, what is left is granted piece by piece; links are not followed."""
    for name in ("a/b/c", "a/b/d", "a/e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    base = str(tmp_path)
    found = rights(Grants(read_paths=(f"{base}/a",), deny_read_paths=(f"{base}/a/b/c",)))
    assert {path for path in found if path.startswith(base)} == {f"{base}/a/b/d", f"{base}/a/e"}


@pytest.mark.parametrize("denied", ["a", ""])
def test_a_path_within_a_denied_one_is_not_granted(denied: str, tmp_path: Path) -> None:
    """Denying a folder, or one above it, denies all of it."""
    (tmp_path / "a").mkdir()
    found = rights(Grants(write_paths=(str(tmp_path / "a"),), deny_write_paths=(str(tmp_path / denied).rstrip("/"),)))
    assert found[str(tmp_path / "a")] == landlock.READ


def test_a_sibling_with_the_same_beginning_stays(tmp_path: Path) -> None:
    """Paths are compared by their parts."""
    for name in ("ab", "a"):
        (tmp_path / name).mkdir()
    found = rights(Grants(read_paths=(str(tmp_path / "ab"),), deny_read_paths=(str(tmp_path / "a"),)))
    assert str(tmp_path / "ab") in found


def test_denied_data_of_the_system_is_denied_too() -> None:
    """Deny wins over what every worker may read, but for the interpreter's own files."""
    assert "/usr/share/zoneinfo" in rights(Grants())
    assert "/usr/share/zoneinfo" not in rights(Grants(deny_read_paths=("/usr/share",)))


def test_limits_are_the_policys() -> None:
    """Each number of the policy has its resource; what a plugin never needs is 0."""
    told = plan.limits(Grants(memory_bytes=1 << 28, cpu_seconds=9, open_files=40, scratch="/s", scratch_bytes=1 << 20))
    assert told["RLIMIT_DATA"] == (1 << 28, 1 << 28)
    assert told["MORE_AS"] == ((1 << 28) + (512 << 20),) * 2
    assert told["RLIMIT_CPU"] == (9, 10)
    assert told["RLIMIT_NOFILE"] == (40, 40)
    assert told["RLIMIT_FSIZE"] == (1 << 20, 1 << 20)
    assert told["RLIMIT_CORE"] == told["RLIMIT_MEMLOCK"] == (0, 0)


def test_what_is_not_limited_has_no_limit() -> None:
    """Without numbers there is no limit on memory, time and files; names are those of the module resource."""
    told = plan.limits(Grants())
    assert not {"RLIMIT_DATA", "MORE_AS", "RLIMIT_CPU", "RLIMIT_NOFILE"} & set(told)
    assert all(hasattr(resource, name) for name in told)


def test_paths_that_do_not_exist_are_named(tmp_path: Path) -> None:
    """The policy's own are told to the operator; what a machine happens to lack is not."""
    if "landlock" in plan.unavailable():
        pytest.skip("there is no Landlock")
    missing = str(tmp_path / "missing")
    fd, told = plan.ruleset(Grants(code=("/no/such/bundle",), read_paths=(missing, str(tmp_path))))
    assert fd is not None
    os.close(fd)
    assert told == (missing,)


def test_a_layer_that_can_not_be_put_on_is_named() -> None:
    """The error tells the layer and the cause."""
    with pytest.raises(JailError, match="the jail's layer landlock can't be put on: Bad file descriptor") as caught:
        put_on([("landlock", 1 << 20)])
    assert caught.value.layer == "landlock"


def test_only_layers_are_imported() -> None:
    """Whatever the host says, nothing but a layer is loaded."""
    with pytest.raises(KeyError):
        layer("plan")
