"""The reception: important callers skip the menu, customers key in their account number."""

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

from customers import accounts, contacts

reception = Ivr("8000")


@reception.caller("any", fallback=Repeat())
async def arrive(call: Call) -> Reply:
    """Forward important callers; the others continue to the prompt."""
    contact = await contacts(call.caller, call)
    return Forward(contact["extension"]) if contact.get("important") else Repeat()


@reception.dtmf("4*****", fallback=Forward("0"), sensitive=True)
async def account(call: Call) -> Reply:
    """Forward to the person who looks after an account; after three wrong numbers to 0."""
    if extension := await accounts(call.digits, call):
        return Forward(extension)
    async with call.session() as session:
        session["wrong"] = session.get("wrong", 0) + 1
        return Repeat() if session["wrong"] < 3 else Forward("0")


@reception.dtmf("1;2;9", fallback=Forward("0"))
async def choose(call: Call) -> Reply:
    """1 is sales, 2 is support, 9 plays the prompt again."""
    match call.digits:
        case "1":
            return Forward("222")
        case "2":
            return Forward("333")
        case _:
            return Repeat()


app = Receiver(reception)
