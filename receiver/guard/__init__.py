"""Action URLs switched off while the service cannot answer, and on again.

- `guarding`: the dead man's switch
- `deadman`: when
- `switching`: which
- `draining`: by hand
- `leases`: who of several
"""
