"""How a model that is not sound is refused."""

from __future__ import annotations

from devices.errors import ModelError


def unsound(name: str, found: str) -> ModelError:
    """The error to raise for the model that messages call ``name``: one sentence, naming it."""
    return ModelError(f"{name}: {found}.")


def text(value: str | bytes | None) -> str:
    """A text of the file as messages show it; what is not UTF-8 in it is replaced."""
    if value is None:
        return ""
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
