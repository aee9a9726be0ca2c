"""What a job is and what becomes of it: values and pure rules, no clocks, no disk, no sockets."""
