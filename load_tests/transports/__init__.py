"""Thespian's system bases and ours, measured in turn in the same run: ``python -m nyx_plugins.load_tests.transports``.

Each measurement has an actor system and processes of its own, so that none finds what another has left.
"""
