"""When and together with whom a request runs: pure policies under a thin asyncio shell."""
