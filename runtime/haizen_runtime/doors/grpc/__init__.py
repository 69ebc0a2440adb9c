"""The gRPC doors, on the same port as the HTTP ones."""
