"""Saving and loading: nested values and their tensors in one safetensors file; loading runs no code."""

from .checkpoint import load, save
from .safetensors import SerializationError

__all__ = ["SerializationError", "load", "save"]
