"""What this runtime is to reach, as ratios to others and limits in the same run: ``load_tests bench``.

``targets.py`` lists the targets; what they are judged by is measured by ``parts.py`` and by the comparison with peers.
"""
