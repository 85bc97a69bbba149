"""One self-contained HTML page: facts, tables and thumbnails in, text out. Nothing is fetched from elsewhere."""

from imgcls.report._page import data_page

__all__ = ["data_page"]
