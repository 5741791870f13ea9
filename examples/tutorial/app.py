"""The reception: important callers, account numbers, office hours; calls are logged."""

from handlers.hours import Hours
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

from customers import accounts, contacts, log_call

reception = Ivr("8000")


async def connect(call: Call, destination: str) -> Reply:
    """Forward the call, and have the CRM log it once the caller is connected."""
    key = f"log:{call.session_id}"
    await call.after.durably(log_call, call.caller, destination, idempotency_key=key)
    return Forward(destination)


@reception.caller("any", fallback=Repeat())
async def arrive(call: Call) -> Reply:
    """Forward important callers; the others continue to the prompt."""
    contact = await contacts(call.caller, call)
    if not contact.get("important"):
        return Repeat()
    return await connect(call, contact["extension"])


@reception.dtmf("4*****", fallback=Forward("0"), sensitive=True)
async def account(call: Call) -> Reply:
    """Forward to the person who looks after an account; after three wrong numbers to 0."""
    if extension := await accounts(call.digits, call):
        return await connect(call, extension)
    async with call.session() as session:
        session["wrong"] = session.get("wrong", 0) + 1
        return Repeat() if session["wrong"] < 3 else Forward("0")


async def choose(call: Call) -> Reply:
    """1 is sales, 2 is support, 9 plays the prompt again."""
    match call.digits:
        case "1":
            return await connect(call, "222")
        case "2":
            return await connect(call, "333")
        case _:
            return Repeat()


office = Hours(
    open=choose,
    closed="8999",
    zone="Europe/Berlin",
    week={"mon-thu": "08:30-18:00", "fri": "08:30-15:00"},
    days={"12-24 to 01-01": "closed"},
)
reception.add("DTMF", "1;2;9", office, name="choose", fallback=Forward("0"))

app = Receiver(reception)
