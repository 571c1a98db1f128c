"""The original distribution `inference-providers` claims the same import name.

Installed side by side, the two overwrite each other's files; which `__init__.py` is
left depends on the order of installing.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution

__all__ = ["MEND", "warn_once"]

ORIGINAL = "inference-providers"
MEND = f"pip uninstall {ORIGINAL} && pip install --force-reinstall --no-deps autoprovider"


@cache
def warn_once() -> None:
    """Warn, once per process, when the original distribution is installed too."""
    try:
        found = distribution(ORIGINAL)
    except PackageNotFoundError:
        return
    warnings.warn(
        f"The original {ORIGINAL!r} {found.version} is installed beside autoprovider, which takes"
        f" its place, and one has overwritten files of the other. Mend it with: {MEND}",
        stacklevel=2,
    )
