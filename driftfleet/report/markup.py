"""Our own sentences in Markdown, as HTML. Nothing from outside is read as Markdown."""

import re

from markupsafe import Markup, escape

_PART = re.compile(r"`([^`]+)`|\[([^\]]+)\]\([^)]+\)")


def marked(text: str) -> Markup:
    """``code`` as such; a link to another page of the docs as that page's name."""
    html, at = Markup(""), 0
    for part in _PART.finditer(text):
        named = part[1] or f"docs/{part[2]}"
        html += escape(text[at : part.start()]) + Markup("<code>{}</code>").format(named)
        at = part.end()
    return html + escape(text[at:])
