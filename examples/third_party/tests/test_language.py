"""The handler alone, and on the phone: ``pip install -e '.[test]' && pytest``."""

import pytest
from acme_language import Language

from receiver import Call, DeclarationError, Forward
from receiver.testing import Phone


async def test_by_itself() -> None:
    assert await Language({"+49": "201"})(Call(caller="+4989123456")) == Forward("201")


def test_nothing_to_choose_from() -> None:
    with pytest.raises(DeclarationError, match="at least one"):
        Language({})


@pytest.mark.parametrize(
    ("caller", "destination"),
    [("+4989123456", "201"), ("+4930123456", "230"), ("+331234567", "200")],
)
async def test_on_the_phone(phone: Phone, caller: str, destination: str) -> None:
    call = await phone.dial("8000", caller=caller)
    await call.press("1")
    assert call.forwarded_to == destination
