"""One file per model library. A library is imported only inside its own file, and only when a model needs it."""
