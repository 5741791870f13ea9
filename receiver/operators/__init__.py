"""What operators ask a service: is it well, and what has it counted?"""
