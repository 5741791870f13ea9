"""What operators ask a service: is it well, and what has it counted?

- `health`: ``/health`` and ``/ready``
- `metrics`: ``/metrics``
- `tokens`: who may ask for what not everybody may see
"""
