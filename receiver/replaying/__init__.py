"""Recorded calls, made again: yesterday's calls, today's code."""
