"""How long the fuzzers run: ``FUZZ_EXAMPLES`` streams each, and from where on; a failing one is printed."""

from __future__ import annotations

import os

import hypothesis

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "120"))
"""How many streams each test tries."""

bounded = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},  # which traces every line
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
"""Settings of a fuzzer; what it finds is printed with all that is needed to try it again."""
