"""The ingress controller as a process of its own."""

import asyncio

from e2e.cluster.ingress.controller import serve

asyncio.run(serve())
