"""The public names of allgrad, grouped like a table of contents."""

__all__: list[str] = []
