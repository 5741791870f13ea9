"""An app without code: a TOML file as the same declarations that Python would make."""
