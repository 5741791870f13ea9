"""``receiver dev``: the app in a child process that is exchanged on change, a PBX beside it."""
