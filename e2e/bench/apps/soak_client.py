"""`soak_client.py ADDRESS METHOD FOLDER CALLS`: so many calls from grpc's own asyncio client, every answer compared."""

import asyncio
import json
import sys
import time
from pathlib import Path

import grpc
import grpc.aio

CHANNELS, IN_FLIGHT = 4, 64
SAMPLES = 3


async def main(address: str, method: str, folder: Path, calls: int) -> dict[str, object]:
    """Return how many answers were right, and what the others were."""
    count = len(list(folder.glob("*.request")))
    requests = [(folder / f"{number}.request").read_bytes() for number in range(count)]
    answers = [(folder / f"{number}.answer").read_bytes() for number in range(count)]
    numbers = iter(range(calls))
    right, samples = 0, []

    async def ask(channel: grpc.aio.Channel) -> None:
        nonlocal right
        call = channel.unary_unary(method)
        for number in numbers:
            try:
                answer = await call(requests[number % count], timeout=60)
            except grpc.aio.AioRpcError as error:
                samples.append(f"{error.code()}: {error.details()}"[:300])
                continue
            if answer == answers[number % count]:
                right += 1
            else:
                samples.append(f"wrong answer: {answer[:300]!r}")

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        # Channels of one process share their connections unless each has a pool of its own.
        channels = [
            grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(CHANNELS)
        ]
        for number in range(IN_FLIGHT):
            group.create_task(ask(channels[number % CHANNELS]))
    seconds = time.monotonic() - begin
    return {"right": right, "asked": calls, "seconds": seconds, "error_samples": samples[:SAMPLES]}


if __name__ == "__main__":
    address, method, folder, calls = sys.argv[1:]
    print(json.dumps(asyncio.run(main(address, method, Path(folder), int(calls)))))
