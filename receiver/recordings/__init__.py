"""What callbacks were asked and answered, kept in files: masked, bounded, written by a thread."""
