"""Run functions of the user: detect their kind, and call them.

- `kinds`: whether a handler is called directly, in a task, or in a thread
- `guarded_call`: calls that return an exception as a value
- `thread_pool`: a bounded pool for functions that block
- `to_thread`: threads for code in an event loop
- `per_loop`: resources of an event loop, closed with it
"""
