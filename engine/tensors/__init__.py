"""The tensor: a NumPy array that remembers how it was made, its views and its printed form."""
