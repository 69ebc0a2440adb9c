"""haizen-runtime: the model server. One engine, many doors."""
