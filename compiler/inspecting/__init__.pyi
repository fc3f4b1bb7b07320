from .as_json import FORMAT_VERSION, model_content
from .comparison import Comparison, compare
from .comparison_text import as_text, comparison_content
from .describe import describe, describe_bytes
from .description import ModelDescription
from .html import models_page
from .table import as_table

__all__ = [
    "FORMAT_VERSION",
    "Comparison",
    "ModelDescription",
    "as_table",
    "as_text",
    "compare",
    "comparison_content",
    "describe",
    "describe_bytes",
    "model_content",
    "models_page",
]
