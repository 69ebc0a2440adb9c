"""A small Knative ingress for Envoy: Ingress objects in, ordered configuration files out."""
