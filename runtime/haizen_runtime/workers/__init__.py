"""Worker processes: where model code runs that may crash, hang or leak."""
