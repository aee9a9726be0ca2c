"""The version, and those of what PyTorch may be built with."""

from __future__ import annotations

from . import __version__ as __version__

cuda: str | None = None
hip: str | None = None
debug = False
