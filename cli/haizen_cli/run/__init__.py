"""`haizen run`: the same YAML on this machine, without a cluster."""
