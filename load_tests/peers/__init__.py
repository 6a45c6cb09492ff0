"""The same work with other systems, in the same run: ``python -m nyx_plugins.load_tests peers``.

A sender hands frames of 200 bytes, each one CBOR map, to a receiver, which decodes and counts each, and the sender
learns of it. One module for each peer; ``roster.py`` lists them.
"""
