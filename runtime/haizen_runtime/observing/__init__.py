"""What is told about single requests: log lines and traces. All of it off as shipped."""
