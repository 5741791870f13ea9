"""Structured log lines of handlers by structlog, written where the receiver's own lines go.

structlog hands its lines to `logging`; under ``receiver serve`` a thread writes them, so a log that
blocks delays no caller. ::

    receiver dial examples/23_structlog.py:app 8000 --press 1
"""

import structlog

from receiver import Call, Forward, Ivr, Receiver, Reply

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
)
log = structlog.get_logger("sales")
ivr = Ivr("8000")


@ivr.dtmf("1;2")
async def pick(call: Call) -> Reply:
    structlog.contextvars.bind_contextvars(session=call.session_id)  # for this callback only
    destination = "222" if call.digits == "1" else "333"
    log.info("routed", ivr=call.ivr, to=destination)  # not the caller's number
    return Forward(destination)


app = Receiver(ivr)
