"""What a recorded graph is made of: nodes, versions, places in the program, and the mode of recording."""
