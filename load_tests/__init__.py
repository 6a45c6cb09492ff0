"""Load tests: programs that measure a running system, print figures, and fail when one is beyond its limit."""
