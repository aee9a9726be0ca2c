"""Training on every rank: data parallel with overlapped reduction, samplers, synchronised batch norm."""
