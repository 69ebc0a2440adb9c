"""What is written about the settings, from the settings: `--help` and the pages in docs/."""
