"""The control server: queue, launchers, supervision, store, gRPC service, client and command line."""
