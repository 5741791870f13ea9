"""A PBX in memory: its REST API, and a telephone line that calls action URLs as the PBX does."""
