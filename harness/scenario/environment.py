"""Puts the environment's values into a file's data, and keeps what must not be stored: passwords become references."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from harness.scenario.messages import types_at
from harness.scenario.scalars import BadReferenceError, Filled, Path, Plain, fill, sole_variable, typed
from harness.scenario.source import Source


@dataclass
class Environment:
    """Where `${VAR}` is looked up. throwaway_passwords: a password's unset variable gets a random value, the same for
    every node that names it, for servers that the harness starts itself.
    """

    variables: Mapping[str, str] = field(repr=False)
    throwaway_passwords: bool = False
    made_up: dict[str, str] = field(default_factory=dict, repr=False)

    def fill(self, source: Source, model: type[BaseModel]) -> dict[Path, Filled]:
        """Replace every reference in the source's values; return what each changed value was made from."""
        filling = _Filling(self, source, model)
        source.data = filling.value(source.data, ())
        return filling.filled

    def password(self, variable: str) -> str | None:
        """What an unset variable of a password stands for."""
        if not self.throwaway_passwords:
            return None
        return self.made_up.setdefault(variable, secrets.token_hex(16))


@dataclass
class _Filling:
    environment: Environment
    source: Source
    model: type[BaseModel]
    filled: dict[Path, Filled] = field(default_factory=dict)

    def value(self, value: Plain, path: Path) -> Plain:
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        return self._text(value, path) if isinstance(value, str) and "$" in value else value

    def _text(self, text: str, path: Path) -> Plain:
        otherwise = self.environment.password if _is_password(path) else lambda _: None
        try:
            filled = fill(text, self.environment.variables, otherwise)
        except BadReferenceError as error:
            self.source.add(path, str(error))
            self.filled[path] = Filled("", failed=True)
            return text
        self.filled[path] = filled
        return filled.text if not filled.variables or self._is_text(path) else typed(filled.text)

    def _is_text(self, path: Path) -> bool:
        """Whether the value at path may be any text; a number that comes from the environment is a number elsewhere."""
        types = () if _is_password(path) else types_at(self.model, path)
        return "string" in types or not types


def _is_password(path: Path) -> bool:
    return len(path) == 4 and path[:2] == ("topology", "nodes") and path[3] == "password"


def password_references(written: Mapping[str, str]) -> dict[str, str]:
    """What stands for each node's password in a stored file: its own variable, or for any other text a new one.

    written: node name -> the password as the file has it. No default is kept, since it would be the password.
    """
    references: dict[str, str] = {}
    for node, text in written.items():
        if variable := sole_variable(text):
            references[node] = f"${{{variable}}}"
    for node in written:
        if node not in references:
            references[node] = _new_reference(node, set(references.values()))
    return references


def _new_reference(node: str, taken: set[str]) -> str:
    name = "HARNESS_PASSWORD_" + re.sub(r"[^A-Z0-9]", "_", node.upper())
    number = 1
    while (reference := f"${{{name}{f'_{number}' if number > 1 else ''}}}") in taken:
        number += 1
    return reference
