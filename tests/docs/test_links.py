"""Every link in a Markdown file leads somewhere: to a file of the project, and to a heading in it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.support.repository import ROOT, files

_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"!?\[(?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)|<img[^>]*\bsrc=\"([^\"]+)\"")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?\s*$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def links(text: str) -> list[str]:
    """The targets of all links and images, code left out."""
    prose = _CODE.sub("", _FENCE.sub("", text))
    images = [first or second for first, second in _IMAGE.findall(prose)]
    return list(dict.fromkeys([*_LINK.findall(prose), *images, *_REFERENCE.findall(prose)]))


def anchors(text: str) -> set[str]:
    """The headings' anchors, as the usual hosts make them."""
    found: dict[str, int] = {}
    result = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        again = found.get(slug, 0)
        found[slug] = again + 1
        result.add(f"{slug}-{again}" if again else slug)
    return result


def broken(document: Path) -> list[str]:
    """The links of a document that lead nowhere. Other people's sites are not asked."""
    text = document.read_text(encoding="utf-8")
    return [link for link in links(text) if not _leads_somewhere(link, document, text)]


def _leads_somewhere(link: str, document: Path, text: str) -> bool:
    if re.match(r"(https?|mailto):", link):
        return not link.startswith("http:") or "//localhost" in link
    place, _, anchor = unquote(link).partition("#")
    target = document.parent / place if place else document
    if not target.exists():
        return False
    if not anchor:
        return True
    return target.suffix == ".md" and anchor in anchors(target.read_text(encoding="utf-8") if place else text)


def test_links_lead_somewhere() -> None:
    documents = files("*.md")
    assert documents
    found = [f"{path.relative_to(ROOT)}: {link}" for path in documents for link in broken(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("[here](other.md)", []),
        ("[here](gone.md)", ["gone.md"]),
        ("[here](other.md#a-heading-with-code-in-it)", []),
        ("[here](other.md#no-such-heading)", ["other.md#no-such-heading"]),
        ("# Here\n[up](#here) [down](#there)", ["#there"]),
        ("![picture](gone.png)", ["gone.png"]),
        ("[![badge](gone.svg)](other.md)", ["gone.svg"]),
        ('<img alt="x" src="gone.png">', ["gone.png"]),
        ("[text][ref]\n\n[ref]: gone.md", ["gone.md"]),
        ("```\n[code](gone.md)\n```\n`[code](gone.md)`", []),
        ("[site](https://socket.io/docs/v4/) [old](http://socket.io)", ["http://socket.io"]),
        ("[demo](http://localhost:3004)", []),
    ],
)
def test_a_broken_link_is_found(text: str, lost: list[str], tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Title\n\n## A heading, with `code` in it\n", encoding="utf-8")
    document = tmp_path / "README.md"
    document.write_text(text, encoding="utf-8")
    assert broken(document) == lost
