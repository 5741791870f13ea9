"""Log lines, metrics and the records behind them.

- `callback_record`: the record of a callback, masked
- `log_format`: a log line, for people or as JSON
- `log_setup`: where log lines are written
- `background_writer`: a thread that writes
- `standard_streams`: what handlers print
- `metrics`: counters and histograms, for Prometheus
- `log_throttle`: the same line once a minute
"""
