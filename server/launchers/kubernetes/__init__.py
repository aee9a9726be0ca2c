"""Kubernetes: an attempt becomes an MPIJob, spoken of with the API server in plain HTTPS."""
