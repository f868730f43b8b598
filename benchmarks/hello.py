"""The least that a Litestar application can be: what S17 starts beside Postlog."""

from litestar import Litestar, get


@get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


app = Litestar([hello])
