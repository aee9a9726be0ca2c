"""Seeing where the time of a run goes: spans, the clocks of the ranks, the merged timeline, and who is slow."""
