"""The command line, ``nyx-plugins``: replay captures, and a demonstration that needs nothing but the package."""
