"""What ranks say to each other: groups, collectives, messages, and how they agree on what comes next."""
