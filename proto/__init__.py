"""What is said over gRPC: the .proto files and the code generated from them."""
