"""Log lines, metrics and the records behind them.

- `callback_record`: the record of a callback, masked
- `log_format`: a log line, as text or as JSON
- `log_setup`: a thread that writes log lines
- `background_writer`: a queue with a thread that writes its items
- `standard_streams`: the output of handlers that print
- `metrics`: counters and histograms, for Prometheus
- `log_throttle`: the same line once a minute
"""
