"""Results to figures and self-contained HTML pages; never sees a model."""

__all__ = [
    "captions",
    "comparison",
    "comparison_figures",
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
    "study_figures",
    "study_page",
    "style",
    "tables",
    "view_display",
]
