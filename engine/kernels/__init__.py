"""Numeric kernels: functions of NumPy arrays only, the fast bodies of operations."""
