"""``python -m nyx_plugins.cli`` is ``nyx-plugins``."""

from __future__ import annotations

from .main import main

if __name__ == "__main__":
    main()
