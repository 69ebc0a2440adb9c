"""haizen: the command line. Runs, renders and validates InferenceService YAML without a cluster."""
