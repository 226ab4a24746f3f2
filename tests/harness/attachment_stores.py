"""Put files into a store of attachments, and read them."""

from pathlib import Path

from shopbell.attachments.store import Store
from shopbell.settings.settings import Settings

MIB = 1_048_576


def store_settings(folder: Path, **given: str) -> Settings:
    """Settings of an installation in a folder."""
    return Settings.model_validate({"database_url": f"sqlite:///{folder / 'shopbell.db'}", **given})


async def put(store: Store, name: str, content: bytes) -> str:
    """Put a file into a store, a mebibyte at a time; returns its SHA-256."""
    async with store.incoming() as incoming:
        for start in range(0, len(content), MIB):
            await store.add(incoming, content[start : start + MIB])
        await store.keep(incoming, name)
        return incoming.sha256


async def read(store: Store, name: str) -> bytes | None:
    """Read a whole file; None if there is none."""
    pieces = await store.read(name)
    return None if pieces is None else b"".join([piece async for piece in pieces])
