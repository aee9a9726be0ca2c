"""What must not be forgotten: jobs, their events and their metrics, in SQLite."""

from .filters import JobFilter, LabelTerm, LabelTest
from .reader import Reader
from .store import Appended, Store
from .writer import Writer

__all__ = ["Appended", "JobFilter", "LabelTerm", "LabelTest", "Reader", "Store", "Writer"]
