"""Checkpoints of a run: written by all ranks beside training, good or absent, resumed on any number of ranks."""
