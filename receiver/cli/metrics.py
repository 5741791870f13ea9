"""``receiver metrics``: print the scrape job for Prometheus."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from receiver.callbacks.metrics_endpoint import IDENTITY, PATH
from receiver.callbacks.operator_access import operator_token
from receiver.cli.common import app_argument, load_app

_JOB = """\
scrape_configs:
  - job_name: portsip-receiver
    scheme: {scheme}
    metrics_path: {path}
    authorization:
      credentials: {token}
    static_configs:
      # If a proxy forwards /action/ only, or to several machines: instead each machine's address.
      - targets: ["{host}"]
"""


@click.command()
@app_argument
def metrics(target: str) -> None:
    """Print the scrape job for Prometheus. It contains the token: treat it like a password."""
    settings = load_app(target).settings
    if not settings.metrics:
        click.echo("Warning: metrics are off: set RECEIVER_METRICS=true", err=True)
    url = urlsplit(settings.public_url or "http://127.0.0.1:8000")
    job = _JOB.format(
        scheme=url.scheme,
        path=url.path + PATH,
        host=url.netloc,
        token=operator_token(IDENTITY, settings.secret, settings.epoch).reveal(),
    )
    click.echo(job, nl=False)
