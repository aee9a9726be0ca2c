"""The gRPC faces of the server, one module for each service, and what all calls have in common."""
