"""The configuration file: a TOML file with the declarations of an app, read without code."""
