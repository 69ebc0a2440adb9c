"""End-to-end tests: a real cluster, user stories, faults and benchmarks."""
