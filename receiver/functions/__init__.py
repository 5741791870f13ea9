"""Functions of somebody else: what they are, and how they are run.

- `manners`: at once, in a task, or in a thread?
- `attempts`: whatever it does, a value comes out
- `threads`: a bounded pool for those that block
- `aside`: threads for whoever is in a loop
- `loops`: what belongs to an event loop, and ends with it
"""
