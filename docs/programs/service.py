"""A service that shows what an account spends, with FastAPI: exact money in its answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response

from venice_billing import AsyncVeniceBilling, InvalidParameterError, RateLimitError, VeniceError, spend


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncVeniceBilling() as client:  # one client for all requests: it keeps the connections
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def billing(request: Request) -> AsyncVeniceBilling:
    return request.app.state.client


Client = Annotated[AsyncVeniceBilling, Depends(billing)]


@app.get("/balance")
async def balance(client: Client) -> Response:
    found = await client.get_balance()
    return Response(found.to_json(), media_type="application/json")  # JSON numbers, digit for digit


@app.get("/spend")
async def spend_by_model(client: Client, start: date, end: date) -> dict[str, Any]:
    walk = client.iter_usage_history(start_timestamp=start, end_timestamp=end)
    table = await spend.summarize(walk, by="model")
    return table.to_dict()  # money as text, which no reader of JSON rounds


@app.exception_handler(VeniceError)
async def failed(_: Request, error: VeniceError) -> Response:
    if isinstance(error, InvalidParameterError):
        return Response(str(error), 422)
    headers = {}
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        headers["retry-after"] = str(ceil(error.retry_after))
    return Response("billing is not available at the moment", 503, headers)
