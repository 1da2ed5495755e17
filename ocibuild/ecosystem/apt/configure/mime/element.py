"""Just enough of an XML tree: elements with their attributes in order, and text."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from ocibuild.core.errors import ImageError

__all__ = ["LANGUAGE", "NAMESPACE", "Element", "parse_xml"]

NAMESPACE = "http://www.freedesktop.org/standards/shared-mime-info"
LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
"""The name of the attribute ``xml:lang``."""

_DEEPEST = 64


@dataclass(slots=True)
class Element:
    """An element. ``name`` is the local name in shared-mime-info's namespace; another one's is ``URI NAME``.

    ``is_plain`` says that nothing but text lies inside: no CDATA section, processing instruction or comment.
    """

    name: str
    attributes: dict[str, str]
    children: "list[Element]" = field(default_factory=list)
    text: str = ""
    is_plain: bool = True

    def xml(self) -> Iterator[str]:
        """The element on one line, as libxml2 saves it; an ImageError where it holds more than text."""
        odd = [name for name in self.attributes if " " in name and name != LANGUAGE]
        if self.children or not self.is_plain or " " in self.name or odd:
            raise ImageError(f"an element <{self.name}> that cannot be copied as it is")
        yield f"<{self.name}"
        for name, value in self.attributes.items():
            yield f' {"xml:lang" if name == LANGUAGE else name}="{_escaped_attribute(value)}"'
        yield f">{_escaped(self.text)}</{self.name}>" if self.text else "/>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _escaped_attribute(text: str) -> str:
    return _escaped(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


class _Builder:
    def __init__(self) -> None:
        self.stack = [Element("", {})]

    def start(self, name: str, attributes: list[str]) -> None:
        if len(self.stack) > _DEEPEST:
            raise ImageError("elements within elements without end")
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        element = Element(name.removeprefix(f"{NAMESPACE} "), dict(pairs))
        if " " not in name:
            element.name = f" {name}"  # of no namespace
        self.stack[-1].children.append(element)
        self.stack.append(element)

    def end(self, _name: str) -> None:
        self.stack.pop()

    def text(self, text: str) -> None:
        self.stack[-1].text += text

    def more(self, *_: str) -> None:
        self.stack[-1].is_plain = False

    def entity(self, *_: object) -> None:
        raise ImageError("an entity is declared, which is not modelled")


def parse_xml(data: bytes) -> Element:
    """The root element; an ImageError with the line of what is wrong."""
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.ordered_attributes = True
    parser.specified_attributes = True  # libxml2 does not apply a DTD's defaults either
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartCdataSectionHandler = builder.more
    parser.CommentHandler = builder.more
    parser.ProcessingInstructionHandler = builder.more
    parser.EntityDeclHandler = builder.entity
    try:
        parser.Parse(data, True)
    except (ImageError, expat.ExpatError) as error:
        raise ImageError(f"line {parser.CurrentLineNumber}: {error}") from error
    return builder.stack[0].children[0]
