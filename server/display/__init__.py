"""How jobs look: in place in a terminal, as plain lines in a pipe, as JSON for programs."""
