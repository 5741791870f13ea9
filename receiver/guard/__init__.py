"""Action URLs switched off while the service cannot answer, and on again."""
