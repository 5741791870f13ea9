"""How a callback comes in, and its answer goes out.

- `intake`: is the request framed as it must be?
- `table`: whose path is it?
- `endpoint`: one action, from the request to the answer
- `admission`: may it ask?
- `reading`: what the PBX says, in whatever form
- `exchange`: one body in, one answer out
- `marks`: how ``receiver doctor`` asks without a handler
"""
