"""Long polls while others write."""

import asyncio
from pathlib import Path

from serving import serving_in_here

SOMEBODY_ELSE = "00000000-0000-4000-8000-000000000404"


async def test_who_waits_for_events_is_woken_by_his_own_only(tmp_path: Path):
    async with serving_in_here(tmp_path / "data") as (up, server):
        mine = (await server.create())["customer_id"]
        after = up.server.last_position
        waits = [
            asyncio.create_task(up.server.wait_for_events(customer, after, 5.0)) for customer in (mine, SOMEBODY_ELSE)
        ]
        await asyncio.sleep(0)
        await server.create()
        await waits[0]
        assert up.server.last_position > after
        assert not waits[1].done()
    await waits[1]  # at the latest when the server ends
