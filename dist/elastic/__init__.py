"""Going on when ranks die."""
