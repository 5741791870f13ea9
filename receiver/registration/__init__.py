"""Register declared IVRs and action URLs on a PBX, and check the way to the service.

- `registrar`: read the PBX, plan, apply, verify
- `desired`, `ownership`, `urls`: the desired action URLs; which actual ones are managed
- `changes`, `plans`, `compare`, `match`: the changes between desired and actual state
- `sequence`, `plan_requests`, `ivr_changes`, `concurrency`: send the changes
- `render`, `lints`: a plan as text and JSON, and its warnings
- `rotation`: new credentials for all action URLs
- `failover_guard`, `failover_rules`, `failover_switch`, `failover_drain`: switch action URLs off
  while the service is down
- `doctor`, `acceptance`, `probe`, `diagnosis`, `reachability`: test the running service
"""
