"""The ranks of one training run: collectives, data parallel training, reporting."""
