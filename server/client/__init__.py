"""What runs at the user's: the Python client, its connection, and how files are packed and fetched."""
