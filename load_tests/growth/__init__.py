"""How cost grows: with batches, frames, plugins, clients and mailboxes: ``python -m nyx_plugins.load_tests growth``.

Each point of a curve is a run of the scenario ``throughput`` with one thing changed.
"""
