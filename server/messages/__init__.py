"""Between the values of this room and the messages of allgrad.v1, in both directions."""
