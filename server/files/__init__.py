"""Archives that come and artifacts that go, on the disk of the server."""
