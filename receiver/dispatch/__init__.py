"""How a handler is asked within its deadline, and what stands behind its call.

- `dispatcher`: a reply in time, whatever the handler does
- `runs`: who owns what runs
- `eager`: the first step is taken at once
- `margins`: what the way there and back costs
- `repeats`: nobody is told to repeat for ever
- `live`: what a call can do
"""
