"""The client for asyncio: what client.py, files.py and governance.py do, asked over grpc.aio."""
