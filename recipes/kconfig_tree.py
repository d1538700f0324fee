# SPDX-License-Identifier: MIT
"""What Kconfig says of a symbol: a small reader of Kconfig files, for error messages.

It knows what an explanation needs (types, prompts, dependencies with the enclosing `if`, `menu` and `choice`,
selects) and leaves defaults, ranges and macros aside; the kernel's own `conf` decides, this only says why.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TYPES = ("bool", "tristate", "string", "int", "hex")
_MACRO = r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)"
_TOKEN = re.compile(rf"""\s*(\|\||&&|!=|<=|>=|[=<>!()]|"[^"]*"|'[^']*'|{_MACRO}|[\w./-]+)""")
_LEVEL = {"n": 0, "m": 1, "y": 2}


@dataclass(slots=True)
class Definition:
    """One `config` entry: where it stands, its prompt and the condition to show it, what it depends on."""

    where: str
    kind: str = ""
    prompt: str = ""
    visible: str = ""
    depends: list[str] = field(default_factory=list)
    choice: int | None = None


@dataclass(slots=True)
class Tree:
    """All symbols. `selects`: symbol -> (who selects it, condition); `choices`: id -> its members."""

    symbols: dict[str, list[Definition]] = field(default_factory=dict)
    selects: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    choices: dict[int, list[str]] = field(default_factory=dict)


def _split_condition(rest: str) -> tuple[str, str]:
    """`"text" if COND` or `SYMBOL if COND` -> (head, condition)."""
    if rest[:1] in ('"', "'"):
        end = rest.find(rest[0], 1)
        head, tail = rest[1:end], rest[end + 1 :]
        match = re.match(r"\s*if\s+(.*)", tail)
        return head, match[1].strip() if match else ""
    head, _, condition = rest.partition(" if ")
    return head.strip(), condition.strip()


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with continuations joined and help texts left out, as (number, text with its indentation)."""
    lines: list[tuple[int, str]] = []
    raw = text.splitlines()
    index, help_indent = 0, -1
    while index < len(raw):
        number, line = index + 1, raw[index].expandtabs(8)
        while line.endswith("\\") and index + 1 < len(raw):
            index += 1
            line = f"{line[:-1].rstrip()} {raw[index].strip()}"
        index += 1
        stripped = line.strip()
        if not stripped or (help_indent < 0 and stripped.startswith("#")):
            continue
        indent = len(line) - len(line.lstrip())
        if help_indent >= 0:
            if help_indent == 0 and indent:
                help_indent = indent
            if indent and indent >= help_indent:
                continue
            help_indent = -1
            if stripped.startswith("#"):
                continue
        if stripped in ("help", "---help---"):
            help_indent = 0
            continue
        lines.append((number, line))
    return lines


class _Reader:
    """Walks the files in the order of their `source` lines; one instance reads one tree."""

    def __init__(self, read: Callable[[str], str | None], variables: Mapping[str, str]) -> None:
        self.read, self.variables = read, variables
        self.tree = Tree()
        self.scopes: list[tuple[str, list[str], int | None]] = []

    def walk(self, path: str) -> None:
        text = self.read(path)
        if text is None:
            return
        entry: Definition | None = None
        name = ""
        for number, line in _logical_lines(text):
            word, _, rest = line.strip().partition(" ")
            rest = rest.strip()
            if word in ("config", "menuconfig"):
                depends = [term for _, terms, _ in self.scopes for term in terms]
                choice = next((c for kind, _, c in reversed(self.scopes) if kind == "choice"), None)
                entry, name = Definition(f"{path}:{number}", depends=depends, choice=choice), rest
                self.tree.symbols.setdefault(name, []).append(entry)
                if choice is not None:
                    self.tree.choices[choice].append(name)
            elif word in ("if", "menu", "choice"):
                entry = None
                identity = len(self.tree.choices) if word == "choice" else None
                if identity is not None:
                    self.tree.choices[identity] = []
                self.scopes.append((word, [rest] if word == "if" else [], identity))
            elif word in ("endif", "endmenu", "endchoice"):
                entry = None
                if self.scopes:
                    self.scopes.pop()
            elif word == "comment":
                entry = Definition("")
            elif word in ("source", "rsource", "osource"):
                self.walk(self.expand(rest.strip("\"'"), path if word == "rsource" else ""))
            elif word == "depends" and rest.startswith("on "):
                terms = entry.depends if entry else self.scopes[-1][1] if self.scopes else []
                terms.append(rest[3:].strip())
            elif entry is not None:
                self.attribute(entry, name, word, rest)

    def expand(self, path: str, relative_to: str) -> str:
        for key, value in self.variables.items():
            path = path.replace(f"$({key})", value)
        folder = relative_to.rpartition("/")[0]
        return f"{folder}/{path}" if folder else path

    def attribute(self, entry: Definition, name: str, word: str, rest: str) -> None:
        if word in _TYPES or word in ("def_bool", "def_tristate"):
            entry.kind = word.removeprefix("def_")
            if word in _TYPES and rest:
                entry.prompt, entry.visible = _split_condition(rest)
        elif word == "prompt":
            entry.prompt, entry.visible = _split_condition(rest)
        elif word == "select":
            target, condition = _split_condition(rest)
            self.tree.selects.setdefault(target, []).append((name, condition))


def parse(read: Callable[[str], str | None], root: str, variables: Mapping[str, str]) -> Tree:
    """Read the Kconfig files from `root` on. `read` gives a file's text, or None where there is none."""
    reader = _Reader(read, variables)
    reader.walk(root)
    return reader.tree


def split_and(expression: str) -> list[str]:
    """The terms of the outermost `&&` of an expression, without needless parentheses."""
    terms, depth, start, index = [], 0, 0, 0
    while index < len(expression):
        char = expression[index]
        depth += (char == "(") - (char == ")")
        if depth == 0 and expression.startswith("||", index):
            return [expression.strip()]
        if depth == 0 and expression.startswith("&&", index):
            terms.append(expression[start:index])
            start = index + 2
            index += 1
        index += 1
    if not terms:
        inner = expression.strip()
        if inner.startswith("(") and inner.endswith(")") and _closes_at_end(inner):
            return split_and(inner[1:-1])
        return [inner]
    terms.append(expression[start:])
    return [part for term in terms for part in split_and(term)]


def _closes_at_end(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character."""
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return index == len(text) - 1
    return False


def evaluate(expression: str, config: Mapping[str, str]) -> int:
    """The value of a dependency: 0 is n, 1 is m, 2 is y. A macro such as $(cc-option,...) counts as y."""
    tokens = _TOKEN.findall(expression)
    position = 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return str(tokens[position - 1])

    def text_of(token: str) -> str:
        if token[:1] in ('"', "'"):
            return token[1:-1]
        if token in _LEVEL or re.fullmatch(r"-?[0-9]+|0[xX][0-9a-fA-F]+", token):
            return token
        return config.get(token, "n").strip('"')

    def primary() -> int:
        if not peek():
            return 2
        token = take()
        if token == "!":
            return 2 - primary()
        if token == "(":
            value = either()
            if peek() == ")":
                take()
            return value
        if token.startswith("$("):
            return 2
        if peek() in ("=", "!=", "<", ">", "<=", ">="):
            operator, right = take(), text_of(take() if peek() else '""')
            return 2 if _compare(text_of(token), operator, right) else 0
        return _LEVEL.get(text_of(token), 0)

    def both() -> int:
        value = primary()
        while peek() == "&&":
            take()
            value = min(value, primary())
        return value

    def either() -> int:
        value = both()
        while peek() == "||":
            take()
            value = max(value, both())
        return value

    return either()


def _compare(left: str, operator: str, right: str) -> bool:
    if operator in ("=", "!="):
        return (left == right) == (operator == "=")
    try:
        a, b = int(left, 0), int(right, 0)
    except ValueError:
        return False
    return {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator]


def _values(term: str, config: Mapping[str, str]) -> str:
    """`A is n, B is m` for the symbols of a term."""
    return ", ".join(f"{name} is {config.get(name, 'n')}" for name in symbols_of(term))


def explain(tree: Tree, symbol: str, asked: str, config: Mapping[str, str]) -> list[str]:
    """Why `symbol` did not get the value `asked`, in sentences of one line; at least one."""
    definitions = tree.symbols.get(symbol)
    if not definitions:
        near = difflib.get_close_matches(symbol, tree.symbols, n=3, cutoff=0.75)
        return [f"Kconfig has no symbol {symbol}" + (f": did you mean {', '.join(near)}?" if near else "")]
    reasons: list[str] = []
    kinds = {d.kind for d in definitions if d.kind}
    if asked == "m" and "bool" in kinds:
        reasons.append(f"{symbol} is a bool: y or n, it cannot be a module")
    if asked != "n":
        reasons += [
            f"{where} depends on `{term}`: {_values(term, config) or 'not met'}"
            for where, term in unmet(tree, symbol, asked, config)
        ]
    by = [f"{who}{f' (if {cond})' if cond else ''}" for who, cond in tree.selects.get(symbol, [])]
    active = [
        f"{who}={config[who]}"
        for who, cond in tree.selects.get(symbol, [])
        if config.get(who, "n") in ("y", "m") and (not cond or evaluate(cond, config))
    ]
    if asked in ("n", "m") and active:
        reasons.append(f"it is selected by {', '.join(active[:6])}")
    if not any(d.prompt for d in definitions):
        what = f"only selected, by {', '.join(by[:6])}" if by else "Kconfig computes it"
        reasons.append(f"{symbol} has no prompt, so no fragment can set it: {what}")
    for identity in {d.choice for d in definitions if d.choice is not None}:
        chosen = [name for name in tree.choices[identity] if config.get(name) == "y" and name != symbol]
        if chosen:
            reasons.append(f"it is one of a choice, of which {chosen[0]} is taken")
    return reasons or [f"its dependencies are met; see {definitions[0].where} for its default and range"]


def unmet(tree: Tree, symbol: str, asked: str, config: Mapping[str, str]) -> list[tuple[str, str]]:
    """The dependencies that do not allow the value, of the definition that lacks the fewest, as (where, term)."""
    need = _LEVEL.get(asked, 1)
    best: list[tuple[str, str]] | None = None
    for definition in tree.symbols.get(symbol, []):
        conditions = [t for text in definition.depends for t in split_and(text)]
        if definition.prompt and definition.visible:
            conditions += split_and(definition.visible)
        # A bool may be y under a dependency that is m; only a tristate is limited by it.
        limit = 1 if definition.kind != "tristate" else need
        lacking = [t for t in dict.fromkeys(conditions) if evaluate(t, config) < limit]
        if best is None or len(lacking) < len(best):
            best = [(definition.where, t) for t in lacking]
    return best or []


def symbols_of(term: str) -> list[str]:
    """The symbols that an expression names, each once."""
    return [t for t in dict.fromkeys(_TOKEN.findall(term)) if re.fullmatch(r"[A-Z0-9_]*[A-Z][A-Z0-9_]*", t)]
