"""Every error class is provoked by a test of this folder."""

from __future__ import annotations

import importlib
from pathlib import Path

import nyx_plugins
from nyx_plugins.config import errors as config_errors
from nyx_plugins.config.errors import DocumentError, NyxPluginError, ReceiptError
from nyx_plugins.plugins import errors as plugin_errors

from .conftest import PROVOKED


def test_every_error_class_is_provoked_here() -> None:
    """All classes but the three that are bases of others have a test in this folder, and are exported."""
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    found = {
        value
        for module in (config_errors, plugin_errors)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, NyxPluginError)
    }
    # Some only plugins meet, in their workers: see tests/plugins/worker/test_http.py and test_correspondence.py.
    in_workers = {plugin_errors.RedirectRefused, plugin_errors.ResponseTooLarge, plugin_errors.DependencyUndeclared}
    # Nobody meets this one unless processes are killed: tests/actors/test_answers_again.py.
    after_kills = {plugin_errors.RefusalLost}
    assert found - PROVOKED == {NyxPluginError, DocumentError, ReceiptError} | in_workers | after_kills
    assert {kind.__name__ for kind in PROVOKED} <= set(nyx_plugins.__all__)
