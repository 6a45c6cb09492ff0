"""Tells what a worker can see: ``modules`` and ``environment`` give a CBOR array of names."""

from __future__ import annotations

import os
import sys

import cbor2

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Looks around."""

    def on_data(self, frame: Frame) -> bytes:
        """Look."""
        return cbor2.dumps(sorted({b"modules": sys.modules, b"environment": os.environ}[frame.data]))
