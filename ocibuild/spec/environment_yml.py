"""Reading ``environment.yml``. Imported where there is one: the reader of YAML is not needed otherwise."""

from types import MappingProxyType

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ocibuild.core.asks import Origin
from ocibuild.core.errors import RepositoryError
from ocibuild.spec.conda_environment import CondaDependency, CondaEnvironment
from ocibuild.spec.requirement_lines import placed_requirements, rebased_line

__all__ = ["parse_environment_yml"]


def parse_environment_yml(text: str, *, file: str) -> CondaEnvironment:
    """Read the file; an empty one asks for nothing.

    A RepositoryError names file and line of what is no YAML, no mapping, or not of the form that conda reads.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise RepositoryError(
            f"not YAML: {problem}", file=file, line=mark.line + 1 if mark is not None else None
        ) from error
    return _Reader(file).environment(root)


class _Reader:
    """Reads the nodes of the document: they know their lines, and aliases in them are never multiplied."""

    def __init__(self, file: str) -> None:
        self._file = file

    def environment(self, root: Node | None) -> CondaEnvironment:
        given = _given(root)
        if given is None:
            return CondaEnvironment(self._file)
        members = self._mapping(given, "the file")
        dependencies: list[CondaDependency] = []
        pip_lines: list[tuple[int, str]] = []
        has_pip = False
        for node in self._sequence(members.get("dependencies"), "dependencies"):
            if isinstance(node, MappingNode):
                has_pip = True
                pip_lines += self._pip(node)
            else:
                dependencies.append(self._dependency(node))
        channels = self._sequence(members.get("channels"), "channels")
        return CondaEnvironment(
            self._file,
            tuple(self._text(node, "a channel") for node in channels),
            tuple(dependencies),
            placed_requirements(self._file, pip_lines) if has_pip else None,
            MappingProxyType(self._variables(members.get("variables"))),
            tuple(Origin(self._file, node.start_mark.line + 1) for node in channels),
        )

    def _dependency(self, node: Node) -> CondaDependency:
        text = self._text(node, "a dependency").strip()
        if not text:
            raise self._error(node, "an empty dependency")
        return CondaDependency(text, Origin(self._file, node.start_mark.line + 1))

    def _pip(self, node: Node) -> list[tuple[int, str]]:
        """The lines below ``pip:``, which is the one mapping that may stand among the dependencies."""
        members = self._mapping(node, "a dependency")
        unknown = sorted(members.keys() - {"pip"})
        if unknown:
            raise self._error(node, f"{unknown[0]}: is no list of dependencies", "write each dependency as a text")
        return [
            (each.start_mark.line + 1, rebased_line(self._file, self._text(each, "a requirement").strip()))
            for each in self._sequence(members.get("pip"), "pip")
        ]

    def _variables(self, node: Node | None) -> dict[str, str]:
        given = _given(node)
        members = {} if given is None else self._mapping(given, "variables")
        return {name: self._text(value, name) for name, value in members.items()}

    def _mapping(self, node: Node, what: str) -> dict[str, Node]:
        if not isinstance(node, MappingNode):
            raise self._error(node, f"{what} must be a mapping", "write names and values: dependencies: ...")
        return {self._text(key, "a key"): value for key, value in node.value}

    def _sequence(self, node: Node | None, what: str) -> list[Node]:
        given = _given(node)
        if given is None:
            return []
        if not isinstance(given, SequenceNode):
            raise self._error(given, f"{what} must be a list", "write each on a line of its own, after '- '")
        return list(given.value)

    def _text(self, node: Node, what: str) -> str:
        if not isinstance(node, ScalarNode):
            raise self._error(node, f"{what} must be a text")
        if len(node.value.strip().splitlines()) > 1:
            raise self._error(node, f"{what} must be on one line")
        return str(node.value)

    def _error(self, node: Node, message: str, hint: str | None = None) -> RepositoryError:
        return RepositoryError(message, file=self._file, line=node.start_mark.line + 1, hint=hint)


def _given(node: Node | None) -> Node | None:
    """The node, None for one that is null: a name with nothing behind it."""
    is_null = isinstance(node, ScalarNode) and node.tag.endswith(":null")
    return None if is_null else node
