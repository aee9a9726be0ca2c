"""One attempt of a job beside the server: its folder, its processes, its logs, its journal, and the shim that holds them."""
