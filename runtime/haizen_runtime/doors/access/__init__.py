"""Who may ask for what: API keys, one table for HTTP and gRPC."""
