"""The console: a page that shows calls as they happen, and the phone of ``receiver dev``."""
