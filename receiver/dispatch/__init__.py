"""Run a handler within its deadline, and give its call a context.

- `dispatcher`: a reply in time, also if the handler fails
- `handler_run`: running handlers
- `eager_task`: tasks that run their first step immediately
- `latency_margin`: the time that is kept for the network
- `repeat_guard`: the limit of repeated prompts
- `live_context`: the context of a call
- `sessions`, `session_manager`, `session`, `session_key`: data of a call between its callbacks
"""
