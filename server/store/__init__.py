"""What must not be forgotten: jobs, their events and their metrics, in SQLite."""

from .reader import Reader
from .store import Appended, Store
from .writer import Writer

__all__ = ["Appended", "Reader", "Store", "Writer"]
