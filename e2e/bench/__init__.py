"""Side-by-side benchmarks on the real cluster. Figures are compared within one run only: the machine's speed swings."""
