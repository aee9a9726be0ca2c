"""The reproducible mode: steps in virtual shards, added along a fixed tree, the same bits on any number of ranks."""
