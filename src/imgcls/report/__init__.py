"""One self-contained HTML page: facts, tables and thumbnails in, text out. Nothing is fetched from elsewhere."""

__all__: list[str] = []
