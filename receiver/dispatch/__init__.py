"""Run a handler within its deadline, and give its call a context.

- `dispatcher`: a reply in time, also if the handler fails
- `handler_run`: a handler that runs, and its owner
- `eager_task`: a task whose first step is taken at once
- `latency_margin`: the time that the network takes
- `repeat_guard`: no call repeats the prompt without end
- `live_context`: the context of a call
- `sessions`, `session_manager`, `session`, `session_key`: what a call remembers
"""
