"""A scenario file as plain data that remembers where each value stands, read with bounds on everything.

The parser's events are put together here, and not by PyYAML's own constructor, because that one knows no positions,
takes duplicate keys in silence, builds whatever an alias bomb asks for, and has YAML 1.1's idea of a scalar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from harness.errors import Mistake
from harness.scenario.scalars import Path, Plain, typed

MAX_BYTES = 2_000_000
MAX_NODES = 250_000  # values in all, aliases expanded
MAX_DEPTH = 32
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Mark:
    """A place in the file, both counted from 1."""

    line: int
    column: int


@dataclass
class Source:
    """One file's data with the places of its keys and values. `overridden` maps paths to the option that set them."""

    file: str
    data: Plain = None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    overridden: dict[Path, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    def where(self, path: Path, *, key: bool = False) -> str:
        """ "file:line:column" of the value at path (of its key if asked), else of the nearest key around it."""
        while path not in self.overridden:
            for places in (self.keys, self.values) if key else (self.values, self.keys):
                if path in places:
                    return self._at(places[path])
            if not path:
                return self._at(Mark(1, 1))
            path, key = path[:-1], True
        return self.overridden[path]

    def _at(self, mark: Mark) -> str:
        return f"{self.file}:{mark.line}:{mark.column}"

    def add(self, path: Path, message: str, *, key: bool = False) -> None:
        """Note a mistake in what stands at path."""
        self.mistakes.append(Mistake(self.where(path, key=key), dotted(path), message))


def dotted(path: Path) -> str:
    """ "topology.nodes.a.port"; what a terminal could not show of a key is escaped, and a long key is shortened."""
    return ".".join(printable(str(part)) for part in path)


def printable(part: str) -> str:
    """One key of a path, on one line and not too long."""
    text = part if part.isprintable() else repr(part)[1:-1]
    return text if len(text) <= 60 else f"{text[:59]}…"


class UnreadableError(Exception):
    """Nothing after this mistake can be read."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake
        super().__init__(str(mistake))


def read_source(path: FilePath) -> Source:
    """The file's data; whatever is wrong with it stands in the result's `mistakes`, and nothing is raised."""
    source = Source(str(path))
    try:
        text = _decode(source.file, _read(path))
        root = _Composer(source, text).root()
        if root is None or (root.text == "" and root.scalar is None):
            raise UnreadableError(
                Mistake(f"{path}:1:1", "", "the file is empty; a scenario or plan begins with version: 1")
            )
        source.data = _data(root, (), source)
    except UnreadableError as unreadable:
        source.mistakes.append(unreadable.mistake)
    return source


def parse_value(where: str, text: str) -> Source:
    """A value as it is given on the command line: a scalar, or a list or mapping in flow style."""
    source = Source(where)
    try:
        if len(text) > MAX_BYTES:
            raise UnreadableError(Mistake(where, "", f"a value has at most {MAX_BYTES} characters"))
        root = _Composer(source, text).root()
        source.data = _data(root, (), source) if root else None
    except UnreadableError as unreadable:
        source.mistakes.append(Mistake(where, "", unreadable.mistake.message))
    return source


def _read(path: FilePath) -> bytes:
    try:
        size = path.stat().st_size
        if size <= MAX_BYTES:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            size = len(content)
    except OSError as error:
        raise UnreadableError(Mistake(str(path), "", f"cannot be read: {error.strerror or error}")) from None
    if size > MAX_BYTES:
        what = f"{size} bytes are" if size > MAX_BYTES + 1 else "this is"
        raise UnreadableError(Mistake(str(path), "", f"{what} too much for a scenario; at most {MAX_BYTES} are read"))
    return content


def _decode(file: str, content: bytes) -> str:
    if content.startswith(b"\xef\xbb\xbf"):
        content = content[3:]
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"byte {error.start} (0x{content[error.start]:02x}) is not UTF-8; save the file as UTF-8"
        raise UnreadableError(Mistake(f"{file}:{line}:{column}", "", message)) from None


@dataclass(eq=False)
class _Node:
    """A value of the file. Exactly one of scalar, items and entries is used.

    size counts it and all below it, height the levels below it, both with aliases expanded.
    """

    mark: Mark
    scalar: str | int | float | bool | None = None
    text: str | None = None
    items: list[_Node] | None = None
    entries: list[tuple[_Node, _Node]] | None = None
    pending: _Node | None = None  # a mapping's key that waits for its value
    open: bool = True
    size: int = 1
    height: int = 0


class _Composer:
    """Puts the parser's events together to nodes, on a stack of its own, so that no nesting overflows Python's."""

    def __init__(self, source: Source, text: str) -> None:
        self._source, self._text = source, text
        self._anchors: dict[str, _Node] = {}
        self._stack: list[_Node] = []
        self._root: _Node | None = None
        self._documents = 0

    def root(self) -> _Node | None:
        """The only document's value; None where there is no document."""
        try:
            for event in yaml.parse(self._text, Loader=_Loader):
                self._take(event)
        except yaml.reader.ReaderError as error:
            raise self._unreadable_character(error) from None
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None
        return self._root

    def _take(self, event: Any) -> None:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._stop(mark, "a second document begins here; a file holds one scenario")
        elif isinstance(event, yaml.AliasEvent):
            self._attach(self._aliased(event, mark))
        elif isinstance(event, yaml.NodeEvent):
            self._attach_new(event, mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _attach_new(self, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            raise self._stop(mark, "a tag (!…) has no meaning here; text that begins with ! goes in quotes")
        node = _node(event, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.open = False
            self._attach(node)
            return
        self._stack.append(node)
        self._check_depth(node)

    def _aliased(self, event: Any, mark: Mark) -> _Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise self._stop(mark, "this alias (*…) names nothing; text that begins with * goes in quotes")
        if node.open:
            raise self._stop(mark, "this alias (*…) stands inside what it names")
        return node

    def _attach(self, node: _Node) -> None:
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        self._check_depth(node)
        if parent.size + len(self._stack) > MAX_NODES:
            raise self._stop(node.mark, f"more than {MAX_NODES} values, counting what aliases repeat")
        if parent.items is not None:
            parent.items.append(node)
        elif parent.pending is None:
            parent.pending = node
        else:
            assert parent.entries is not None
            parent.entries.append((parent.pending, node))
            parent.pending = None

    def _check_depth(self, node: _Node) -> None:
        """An alias can make what is written flat deep, so that heights count as well as what is open."""
        if len(self._stack) + node.height > MAX_DEPTH:
            raise self._stop(node.mark, f"nested deeper than {MAX_DEPTH} levels")

    def _close(self) -> None:
        node = self._stack.pop()
        node.open = False
        self._attach(node)

    def _stop(self, mark: Mark, message: str) -> UnreadableError:
        return UnreadableError(Mistake(f"{self._source.file}:{mark.line}:{mark.column}", "", message))

    def _syntax(self, error: yaml.MarkedYAMLError) -> UnreadableError:
        place = error.problem_mark or error.context_mark
        mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
        context = f" {error.context}," if error.context else ""
        message = f"not YAML:{context} {error.problem or 'it cannot be read'}"
        if "nesting depth" in (error.problem or ""):  # the parser reads ahead, and has a bound of its own
            message = f"nested deeper than {MAX_DEPTH} levels"
        return self._stop(mark, (self._likely_cause(place.index) if place else None) or message)

    def _likely_cause(self, index: int) -> str | None:
        """What users most often meant, by the character where the parser stopped."""
        if self._text[index : index + 1] == "\t":
            return "a tab cannot stand here; YAML is indented with spaces"
        if index and self._text[index - 1 : index + 1] == "${":
            return 'inside { } and [ ] a reference goes in quotes, as in {values: "${N}"}'
        return None

    def _unreadable_character(self, error: yaml.reader.ReaderError) -> UnreadableError:
        code = error.character if isinstance(error.character, int) else ord(error.character)
        before = self._text[: max(self._text.find(chr(code)), 0)]
        mark = Mark(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
        return self._stop(mark, f"the character U+{code:04X} cannot stand in a YAML file")


def _node(event: Any, mark: Mark) -> _Node:
    if isinstance(event, yaml.SequenceStartEvent):
        return _Node(mark, items=[])
    if isinstance(event, yaml.MappingStartEvent):
        return _Node(mark, entries=[])
    plain = bool(event.implicit[0])
    return _Node(mark, scalar=typed(event.value) if plain else event.value, text=event.value)


def _data(node: _Node, path: Path, source: Source) -> Plain:
    """Build the data below a node and note where everything stands, duplicate and odd keys as mistakes."""
    source.values[path] = node.mark
    if node.items is not None:
        return [_data(item, (*path, index), source) for index, item in enumerate(node.items)]
    if node.entries is not None:
        return {name: _data(value, (*path, name), source) for name, value in _named(node.entries, path, source)}
    return node.scalar


def _named(entries: list[tuple[_Node, _Node]], path: Path, source: Source) -> Iterator[tuple[str, _Node]]:
    """The entries whose key is text that occurs for the first time."""
    for key, value in entries:
        problem = None
        name = key.text
        if name is None:
            problem = "a key must be plain text"
        elif name == "<<":
            problem = "merging mappings (<<) is not supported; write the keys out"
        elif (*path, name) in source.keys:
            problem = f"this key is already there in line {source.keys[(*path, name)].line}"
        if problem or name is None:
            place = f"{source.file}:{key.mark.line}:{key.mark.column}"
            source.mistakes.append(Mistake(place, dotted((*path, name) if name else path), str(problem)))
            continue
        source.keys[(*path, name)] = key.mark
        yield name, value
