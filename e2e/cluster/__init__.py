"""A real one-node Kubernetes with Knative on a Debian machine, in a network namespace of its own."""
