"""The callback core: from a request to its answer.

- `request`: requests and answers as plain values
- `http_limits`, `request_checks`: checks of a request's framing
- `routes`: the action of a path
- `unknown_actions`: paths of actions that do not exist
- `context`: resources that the actions of an app share
- `endpoint`: the core of one action: authenticate, parse, dispatch, respond
- `authenticate`, `host_addresses`: credentials, client address and the throttle
- `parser`, `lenient_json`, `content_coding`: the data of a callback, in any form
- `asgi_messages`: requests and answers of ASGI servers
- `observer`, `tracing`, `span_export`: log records, metrics and spans of each callback
- `probe`: requests of ``receiver doctor``, which run no handler
- `health`, `metrics_endpoint`, `metrics_folder`, `metrics_page`, `operator_access`: endpoints of
  operators
- `tcp_rtt`: the round-trip time of a connection
"""
