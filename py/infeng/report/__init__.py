"""One self-contained HTML page of a sweep's CSV files and summaries."""

from infeng.report.page import write_page

__all__ = ["write_page"]
