"""``receiver dev``: the app, reloaded on change, beside a simulated PBX."""
