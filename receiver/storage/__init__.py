"""Storage shared by workers and machines: nonces, failures, sessions, leases, jobs.

`protocols` states the four needs, `backends` finds the backend that a setting names; each backend
is one class, in `memory`, `sqlite` or `redis`. `job_queue` states what a queue of jobs is, of which
`jobs_memory`, `jobs_sqlite` and `jobs_redis` are one each.
"""
