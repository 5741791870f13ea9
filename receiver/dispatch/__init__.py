"""How a handler is asked within its deadline, and what stands behind its call."""
