"""Results to figures and self-contained HTML pages; never sees a model."""

__all__ = [
    "data_figures",
    "data_page",
    "drawn",
    "embed",
    "event_display",
    "figures",
    "gallery",
    "labels",
    "numbers",
    "page",
    "render",
    "style",
    "tables",
]
