"""Recordings of callbacks in files: masked, bounded, written by a thread."""
