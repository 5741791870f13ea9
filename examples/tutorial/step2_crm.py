"""The reception: important callers skip the menu."""

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

from customers import contacts

reception = Ivr("8000")


@reception.caller("any", fallback=Repeat())
async def arrive(call: Call) -> Reply:
    """Forward important callers; the others continue to the prompt."""
    contact = await contacts(call.caller, call)
    return Forward(contact["extension"]) if contact.get("important") else Repeat()


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
