"""How an operation is declared, called and recorded; what is not in the registry does not exist."""

from .operation import OPERATIONS, Array, Arrays, Index, Operation, composite, operation
from .samples import Sample

__all__ = ["OPERATIONS", "Array", "Arrays", "Index", "Operation", "Sample", "composite", "operation"]
