"""What is told of the service: log lines, counts and spans.

- `observing`: who tells what of a callback
- `records`: what is told, masked
- `logs`: where lines go
- `spools`: a thread that writes
- `counts`: for Prometheus
- `tracing`: for OpenTelemetry
- `seldom`: the same thing once a minute
"""
