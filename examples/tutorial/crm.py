"""A CRM for the tutorial, with two contacts and two accounts; it prints each call that it logs.

Run it::

    uvicorn crm:app --port 8900
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CONTACTS = [
    {"phone": "+4930123456", "name": "Ada", "important": True, "extension": "201"},
    {"phone": "+4930654321", "name": "Grace", "important": False, "extension": "202"},
]
ACCOUNTS = {"471110": "201", "471237": "202"}
calls: list[dict[str, str]] = []


async def contacts(request: Request) -> JSONResponse:
    """Find contacts: ``/contacts?phone=…``."""
    phone = request.query_params["phone"]
    return JSONResponse([one for one in CONTACTS if one["phone"] == phone])


async def account(request: Request) -> JSONResponse:
    """Return the extension of an account's owner, empty if there is no such account."""
    return JSONResponse({"extension": ACCOUNTS.get(request.path_params["number"], "")})


async def log(request: Request) -> JSONResponse:
    """Log a call; a second one with the same key is ignored."""
    call = await request.json()
    if call["key"] not in [one["key"] for one in calls]:
        calls.append(call)
        print("logged a call to", call["destination"], flush=True)
    return JSONResponse({}, 201)


app = Starlette(
    routes=[
        Route("/contacts", contacts),
        Route("/accounts/{number}", account),
        Route("/calls", log, methods=["POST"]),
    ]
)
