"""The PBX's REST API: its JSON as typed values, its tokens, its client."""
