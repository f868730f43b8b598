"""Raw lookups of one post, a process of its own: `python -m benchmarks.lookups URL POOL TASKS EACH POST_ID` prints the
seconds they took.
"""

import asyncio
import sys
import time

import uvloop
from psycopg_pool import AsyncConnectionPool

_LOOKUP = "SELECT author, date_posted, message, likes, version, comments_count FROM {} WHERE post_id = %s"


async def run(url: str, connections: int, tasks: int, each: int, post_id: str) -> float:
    async with AsyncConnectionPool(url, min_size=connections, max_size=connections) as pool:
        await pool.wait()
        async with pool.connection() as connection:
            live = await (await connection.execute("SELECT slot FROM read_db")).fetchone()
        statement = _LOOKUP.format("posts_a" if live == ("a",) else "posts_b").encode()

        async def look_up() -> None:
            for _ in range(each):
                async with pool.connection() as connection:
                    if await (await connection.execute(statement, (post_id,))).fetchone() is None:
                        raise LookupError(post_id)

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(look_up())
        return time.perf_counter() - started


if __name__ == "__main__":
    address, pool_size, at_once, times, wanted = sys.argv[1:]
    print(uvloop.run(run(address, int(pool_size), int(at_once), int(times), wanted)))
