"""Gradients that cross the network in fewer bytes: half precision, 8 bits, the largest elements, low rank."""
