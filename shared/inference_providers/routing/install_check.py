"""Detect the original distribution `inference-providers`, which has the same import name.

Installed side by side, the two overwrite each other's files. Which `__init__.py` remains depends
on the order of installation.
"""

from __future__ import annotations

import warnings
from importlib.metadata import PackageNotFoundError, version

from inference_providers.routing import event_loop

__all__ = ["REPAIR_COMMAND", "warn_once"]

ORIGINAL = "inference-providers"
REPAIR_COMMAND = f"pip uninstall {ORIGINAL} && pip install --force-reinstall --no-deps autoprovider"

_is_checked = False


def warn_once() -> None:
    """Warn, once per process, if the original distribution is installed too.

    The check reads files, so an event loop leaves it to the next call outside of one.
    """
    global _is_checked  # noqa: PLW0603 - one check per process
    if _is_checked or event_loop.is_running():
        return
    _is_checked = True
    try:
        original = version(ORIGINAL)
    except PackageNotFoundError:
        return
    warnings.warn(
        f"The original {ORIGINAL!r} {original} is installed beside autoprovider, which replaces it."
        f" Each has overwritten files of the other. Repair it with: {REPAIR_COMMAND}",
        stacklevel=2,
    )
