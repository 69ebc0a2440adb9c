"""Models, their life cycle and the way a request takes to them. Knows no door and no library of any backend."""
