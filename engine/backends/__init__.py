"""What scripts ask of ``torch.backends``: which libraries compute, and switches of those that do not."""

from . import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
