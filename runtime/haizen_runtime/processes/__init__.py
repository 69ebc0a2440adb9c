"""Several serving processes on one port (`--processes`). Nothing of this is imported with one."""
