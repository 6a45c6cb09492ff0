"""Errors about requests over HTTP that a plugin makes."""

from __future__ import annotations

from ...config.errors import NyxPluginError


class ResponseTooLarge(NyxPluginError, ValueError):
    """An HTTP response has more than ``limit`` bytes. Ask for less, or allow more with ``max_bytes``."""

    def __init__(self, url: str, limit: int) -> None:
        self.url = url
        self.limit = limit
        super().__init__(f"response of {url} has more than {limit:,} bytes: ask for less, or raise max_bytes")


class RedirectRefused(NyxPluginError, ConnectionError):
    """An HTTP redirect is not followed (``reason``). Ask the last address directly, or allow more redirects."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"redirect of {url} is not followed: {reason}")
