"""Doors translate a wire protocol to InferenceRequest and back, and nothing more."""
