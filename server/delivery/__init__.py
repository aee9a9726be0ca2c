"""Files that go from one machine to another over a channel that may break at any moment, each byte once."""
