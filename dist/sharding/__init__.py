"""Training whose memory is divided among the ranks: optimizer state, gradients, parameters."""
