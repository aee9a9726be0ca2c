"""Real data to learn from: handwritten digits in the package, and Fashion-MNIST where it is installed."""

from .uci import digits
from .zalando import fashion_mnist

__all__ = ["digits", "fashion_mnist"]
