"""The chaos run: real processes under load, of which random ones are killed; then a proof from everybody's own books.

``busy_plugin.py`` runs in the workers, ``client.py`` in processes of its own; both write down what they do. ``cast.py``
says which plugins there are, ``plan.py`` what is decided by the seed, ``run.py`` carries it out, and ``verdict.py``,
which is pure, judges what was written down.
"""
