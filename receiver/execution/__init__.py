"""Run functions of the user: detect their kind, and call them.

- `kinds`: at once, in a task, or in a thread?
- `guarded_call`: an exception becomes a value
- `thread_pool`: a bounded pool for functions that block
- `to_thread`: threads for code in an event loop
- `per_loop`: what belongs to an event loop, and ends with it
"""
