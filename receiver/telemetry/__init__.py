"""What is told of the service: log lines, counts and spans."""
