"""The script that a worker's interpreter runs: ``bootstrap.py worker SOCKET_FD PAGE_FD NAME=PATH ...``.

That of the nursery runs it too: ``bootstrap.py nursery LISTENER_FD PARENT_PID NAME=PATH ...``.

The interpreter is started isolated (``-I -S``), so it sees the standard library only. Here it learns where the
packages on its command line are (the first is this project's own), and nothing else of site-packages.
"""

from __future__ import annotations

import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import spec_from_file_location
from _imp import extension_suffixes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class OnlyThese:
    """Finds the given packages by name, wherever they are; sub-packages of ``root`` only when they are named too."""

    def __init__(self, paths: Mapping[str, str], root: str) -> None:
        self._paths = paths
        self._root = root

    def add(self, paths: Mapping[str, str]) -> None:
        """Find these too."""
        self._paths = {**self._paths, **paths}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Find ``name``; called by the import system."""
        if name not in self._paths:
            return None
        spec = spec_from_file_location(name, self._paths[name])
        if spec is not None and name == self._root:
            spec.submodule_search_locations = []
        return spec


def compiled_cbor2(init_file: str) -> ModuleType | None:
    """Load the compiled half of cbor2, without the other half, which takes longer than all the rest of a start."""
    stem = init_file.rpartition("/")[0] + "/_cbor2"
    for suffix in extension_suffixes():
        spec = spec_from_file_location("cbor2._cbor2", stem + suffix)
        try:
            if spec is not None and spec.loader is not None:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
        except ImportError:
            continue
    return None


def run(argv: list[str]) -> None:
    """Make the packages importable, and run the worker, or the nursery."""
    role, one, other, *named = argv
    paths = dict(item.split("=", 1) for item in named)
    root = next(iter(paths))
    finder = OnlyThese(paths, root)
    sys.meta_path.insert(0, finder)
    del sys.argv[1:]
    module = compiled_cbor2(paths["cbor2"])
    if module is not None:
        # Our own modules take it for cbor2; a plugin that imports cbor2 gets the whole, made of the same half.
        sys.modules["cbor2"] = sys.modules["cbor2._cbor2"] = module
    name = "nursery" if role == "nursery" else "main"
    main = __import__(f"{root}.plugins.worker.{name}", fromlist=["main"]).main
    if module is not None:
        del sys.modules["cbor2"]
    main(int(one), int(other), *([finder.add] if role == "nursery" else []))


if __name__ == "__main__":
    run(sys.argv[1:])
