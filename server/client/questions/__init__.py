"""What a client may ask, said once for both of its kinds: the request, and what the answer means."""
