"""What is declared against what a PBX has: compared, planned, applied, checked.

- `registrar`: read, plan, apply, verify
- `wanting`: what is declared
- `drift`: what differs
- `plans`: what has to change
- `steps`: in which order
- `carrying`: who sends it
- `lints`: what may not be meant
- `printout`: a plan to read
- `reception`: receptionists that are declared
- `rotation`: new credentials
- `doctor`: what is wrong on the way
- `probing`: one question that the PBX would ask
"""
