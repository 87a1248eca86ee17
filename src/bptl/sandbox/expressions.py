"""``${…}`` in a safe subset: a small parser and interpreter of its own; nothing of a model is ever given to Python.

Literals, variables, properties and items of JSON and maps, arithmetic, comparison, and/or/not/empty, ``a ? b : c``, and
a fixed table of methods without effects on strings, lists and JSON (``METHODS``). Everything else is refused by
``compiled``, which deployment calls, so that a model learns it before its first instance.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

LONGEST = 2000
"""Characters of an expression."""
MOST_NODES = 200
"""Operands and operators of an expression: what bounds the depth of the interpreter."""
DEEPEST = 40
"""Parentheses, conditions and arguments within each other: what bounds the depth of the parser."""

Node = tuple[Any, ...]
Resolve = Callable[[str], Any]

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)|(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<name>[A-Za-z_$][\w$]*)|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]]))"""
)
_TYPED = re.compile(
    r"""\s*[$#]\{\s*execution\.getVariableTyped\(\s*(?P<quote>['"])(?P<name>[^'"\\]+)(?P=quote)\s*,\s*false\s*\)\s*\}\s*"""
)
"""A variable as it is, or null where there is none: the one method of ``execution``, and only as a whole parameter."""
_WORDS = {"eq": "==", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "div": "/", "mod": "%"}
_WORDS |= {"and": "&&", "or": "||", "not": "!"}
_STRENGTH = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 4,
    ">": 4,
    "<=": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "%": 6,
}
_CONSTANTS = {"true": True, "false": False, "null": None}
EXECUTION = ("processBusinessKey", "businessKey", "processInstanceId", "processDefinitionId", "id", "tenantId")
"""What ``${execution.…}`` may name."""


class ExpressionRefused(ValueError):
    """The text is no expression of the subset; found at deployment."""


class ExpressionFailed(ValueError):
    """The expression cannot be evaluated with these variables."""


@dataclass(frozen=True)
class Template:
    """Text with expressions in it. ``name`` is the variable when the whole text is ``${variable}``."""

    text: str
    parts: tuple[str | Node, ...]

    @property
    def name(self) -> str | None:
        """The one variable that this is, else None."""
        return self._only("name")

    @property
    def possible_name(self) -> str | None:
        """The one variable that this is where it exists, ``${execution.getVariableTyped('x', false)}``; else None."""
        return self._only("typed")

    def _only(self, kind: str) -> str | None:
        if len(self.parts) == 1 and isinstance(self.parts[0], tuple) and self.parts[0][0] == kind:
            return str(self.parts[0][1])
        return None

    def value(self, resolve: Resolve) -> Any:
        """The value with variables from ``resolve`` (KeyError: there is none). Raises ExpressionFailed."""
        try:
            values = [part if isinstance(part, str) else _value(part, resolve) for part in self.parts]
        except ExpressionFailed as error:
            raise ExpressionFailed(f"cannot evaluate {self.text}: {error}") from error
        if len(values) == 1:
            return values[0]
        return "".join("" if value is None else _shown(value) for value in values)


@lru_cache(maxsize=4096)
def compiled(text: str) -> Template:
    """``text`` ready to be evaluated; raises ExpressionRefused with what is wrong with it."""
    if typed := _TYPED.fullmatch(text):
        return Template(text, (("typed", typed["name"]),))
    parts: list[str | Node] = []
    rest = 0
    for opening in re.finditer(r"[$#]\{", text):
        if opening.start() < rest:
            continue
        if opening.start() > rest:
            parts.append(text[rest : opening.start()])
        try:
            node, rest = _Parser(text, opening.end()).whole()
        except ExpressionRefused as error:
            raise ExpressionRefused(f"{text}: {error}") from None
        parts.append(node)
    if rest < len(text) or not parts:
        parts.append(text[rest:])
    return Template(text, tuple(parts))


class _Parser:
    """Recursive descent over one ``${…}`` that begins at ``position``."""

    def __init__(self, text: str, position: int) -> None:
        self.text, self.position, self.nodes, self.depth = text, position, 0, 0
        if len(text) > LONGEST:
            raise ExpressionRefused(f"longer than {LONGEST} characters")

    def whole(self) -> tuple[Node, int]:
        node = self.choice()
        end = re.compile(r"\s*\}").match(self.text, self.position)
        if end is None:
            raise ExpressionRefused(f"not understood from {self.text[self.position : self.position + 20]!r}")
        return node, end.end()

    def made(self, *node: Any) -> Node:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise ExpressionRefused(f"more than {MOST_NODES} operands")
        return node

    def peek(self) -> tuple[str, str]:
        found = _TOKEN.match(self.text, self.position)
        if found is None or found.lastgroup is None:
            return "end", ""
        word = found[found.lastgroup]
        return ("sign", _WORDS[word]) if found.lastgroup == "name" and word in _WORDS else (found.lastgroup, word)

    def take(self) -> tuple[str, str]:
        token = self.peek()
        found = _TOKEN.match(self.text, self.position)
        if found is None:
            raise ExpressionRefused("it ends too early")
        self.position = found.end()
        return token

    def taken(self, sign: str) -> bool:
        if self.peek() != ("sign", sign):
            return False
        self.take()
        return True

    def want(self, sign: str) -> None:
        if not self.taken(sign):
            raise ExpressionRefused(f"{sign!r} is missing")

    def choice(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionRefused(f"more than {DEEPEST} levels deep")
        node = self.binary(1)
        if self.taken("?"):
            yes = self.choice()
            self.want(":")
            node = self.made("if", node, yes, self.choice())
        self.depth -= 1
        return node

    def binary(self, weakest: int) -> Node:
        left = self.unary()
        while True:
            kind, sign = self.peek()
            strength = _STRENGTH.get(sign, 0) if kind == "sign" else 0
            if strength < weakest:
                return left
            self.take()
            left = self.made("binary", sign, left, self.binary(strength + 1))

    def unary(self) -> Node:
        kind, word = self.peek()
        if (kind, word) in {("sign", "!"), ("sign", "-"), ("name", "empty")}:
            self.take()
            self.made()  # Counted before what follows, which may be the next sign.
            return ("unary", word, self.unary())
        return self.postfix(self.operand())

    def operand(self) -> Node:
        kind, word = self.take()
        if kind == "number":
            return self.made("literal", int(word) if word.isdigit() else float(word))
        if kind == "string":
            return self.made("literal", re.sub(r"\\(.)", r"\1", word[1:-1]))
        if kind == "name" and word in _CONSTANTS:
            return self.made("literal", _CONSTANTS[word])
        if kind == "name":
            if self.peek() == ("sign", "("):
                raise ExpressionRefused(f"the function {word}() is not known to the sandbox")
            return self.made("name", word)
        if word == "(":
            inside = self.choice()
            self.want(")")
            return inside
        raise ExpressionRefused(f"{word!r} is not expected")

    def postfix(self, node: Node) -> Node:
        while True:
            if self.taken("["):
                node = self.made("item", node, self.choice())
                self.want("]")
            elif self.taken("."):
                kind, word = self.take()
                if kind != "name":
                    raise ExpressionRefused(f"{word!r} is no property")
                node = self.member(node, word)
            else:
                if node == ("name", "execution"):
                    raise ExpressionRefused("execution can only be asked for its properties")
                return node

    def member(self, node: Node, word: str) -> Node:
        if node == ("name", "execution"):
            if word not in EXECUTION or self.peek() == ("sign", "("):
                raise ExpressionRefused(f"the sandbox has no execution.{word}; it has {', '.join(EXECUTION)}")
            return self.made("execution", word)
        if not self.taken("("):
            return self.made("item", node, ("literal", word))
        if word not in METHODS:
            raise ExpressionRefused(f"the sandbox calls no method {word}(); beans do not exist here")
        arguments = []
        while not self.taken(")"):
            arguments.append(self.choice())
            if self.peek() != ("sign", ")"):
                self.want(",")
        return self.made("call", node, word, tuple(arguments))


def _value(node: Node, resolve: Resolve) -> Any:
    kind, *parts = node
    return _MEANINGS[kind](resolve, *parts)


def _variable(resolve: Resolve, name: str) -> Any:
    try:
        return resolve(name)
    except KeyError:
        raise ExpressionFailed(f"Cannot resolve identifier '{name}'") from None
    except ValueError as error:
        raise ExpressionFailed(f"variable '{name}': {error}") from error


def _typed(resolve: Resolve, name: str) -> Any:
    raise ExpressionFailed("a typed value can only be the whole of an input or output parameter")


def _chosen(resolve: Resolve, condition: Node, yes: Node, no: Node) -> Any:
    return _value(yes if _true(_value(condition, resolve)) else no, resolve)


def _unary(resolve: Resolve, sign: str, inner: Node) -> Any:
    value = _value(inner, resolve)
    if sign == "!":
        return not _true(value)
    if sign == "-":
        return -_number(value)
    return value is None or (isinstance(value, str | list | dict) and not value)


def _binary(resolve: Resolve, sign: str, left: Node, right: Node) -> Any:
    if sign == "&&":
        return _true(_value(left, resolve)) and _true(_value(right, resolve))
    if sign == "||":
        return _true(_value(left, resolve)) or _true(_value(right, resolve))
    return _OPERATORS[sign](_value(left, resolve), _value(right, resolve))


def _call(resolve: Resolve, owner: Node, method: str, arguments: Sequence[Node]) -> Any:
    return _called(_value(owner, resolve), method, [_value(argument, resolve) for argument in arguments])


_MEANINGS: Mapping[str, Callable[..., Any]] = {
    "literal": lambda resolve, value: value,
    "name": _variable,
    "typed": _typed,
    "execution": lambda resolve, word: resolve(f"execution.{word}"),
    "if": _chosen,
    "unary": _unary,
    "binary": _binary,
    "item": lambda resolve, owner, key: _item(_value(owner, resolve), _value(key, resolve)),
    "call": _call,
}


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _true(value: Any) -> bool:
    if isinstance(value, bool) or value is None:
        return bool(value)
    if isinstance(value, str):
        return value.lower() == "true"
    raise ExpressionFailed(f"{value!r} is neither true nor false")


def _number(value: Any) -> int | float:
    if value is None or value == "":
        return 0
    if isinstance(value, str):
        try:
            value = float(value) if re.search(r"[.eE]", value) else int(value)
        except ValueError:
            raise ExpressionFailed(f"{value!r} is no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**63:
        raise ExpressionFailed(f"{value!r} is no number of 64 bits")
    return value


def _calculated(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculate(left: Any, right: Any) -> Any:
        try:
            return _number(function(_number(left), _number(right)))
        except (ZeroDivisionError, OverflowError) as error:
            raise ExpressionFailed(str(error)) from error

    return calculate


def _rest(left: float, right: float) -> float:
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest  # Java's sign, not Python's.


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return _true(left) == _true(right)
    if isinstance(left, int | float) or isinstance(right, int | float):
        return _number(left) == _number(right)
    return bool(left == right)


def _ordered(function: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        if left is None or right is None:
            return left is right and function(0, 0)
        if isinstance(left, int | float) or isinstance(right, int | float):
            return function(_number(left), _number(right))
        try:
            return function(left, right)
        except TypeError as error:
            raise ExpressionFailed(str(error)) from error

    return compare


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _calculated(operator.add),
    "-": _calculated(operator.sub),
    "*": _calculated(operator.mul),
    "/": _calculated(operator.truediv),
    "%": _calculated(_rest),
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    ">": _ordered(operator.gt),
    "<=": _ordered(operator.le),
    ">=": _ordered(operator.ge),
}


def _item(owner: Any, key: Any) -> Any:
    if isinstance(owner, dict):
        return owner.get(key if isinstance(key, str) else _shown(key))
    if isinstance(owner, list) and isinstance(key, int):
        return owner[key] if 0 <= key < len(owner) else None
    if owner is None:
        return None
    raise ExpressionFailed(f"Cannot find property {key!r} of {type(owner).__name__}")


def _required(owner: dict[str, Any], key: str) -> Any:
    if key not in owner:
        raise ExpressionFailed(f"there is no property {key!r}")
    return owner[key]


def _called(owner: Any, method: str, arguments: list[Any]) -> Any:
    for kinds, takes, function in METHODS[method]:
        if isinstance(owner, kinds) and [*map(type, arguments)] in takes:
            return function(owner, *arguments)
    given = ", ".join(type(argument).__name__ for argument in arguments)
    raise ExpressionFailed(f"there is no method {method}({given}) of {type(owner).__name__}")


_Method = tuple[Any, list[list[type]], Callable[..., Any]]
_NONE: list[list[type]] = [[]]
_STR: list[list[type]] = [[str]]
_INT: list[list[type]] = [[int]]

METHODS: Mapping[str, list[_Method]] = {
    "length": [(str, _NONE, len)],
    "size": [((list, dict), _NONE, len)],
    "isEmpty": [((str, list, dict), _NONE, operator.not_)],
    "startsWith": [(str, _STR, str.startswith)],
    "endsWith": [(str, _STR, str.endswith)],
    "contains": [(str, _STR, operator.contains), (list, [[str], [int], [float], [bool]], operator.contains)],
    "equals": [(str, _STR, operator.eq)],
    "equalsIgnoreCase": [(str, _STR, lambda text, other: text.lower() == other.lower())],
    "toLowerCase": [(str, _NONE, str.lower)],
    "toUpperCase": [(str, _NONE, str.upper)],
    "trim": [(str, _NONE, str.strip)],
    "indexOf": [(str, _STR, str.find)],
    "substring": [
        (str, [[int], [int, int]], lambda text, *ends: text[slice(*ends)] if len(ends) > 1 else text[ends[0] :])
    ],
    "toString": [((str, int, float, bool), _NONE, _shown)],
    "get": [(dict, _STR, dict.get), (list, _INT, _item)],
    "containsKey": [(dict, _STR, operator.contains)],
    "hasProp": [(dict, _STR, operator.contains)],
    "prop": [(dict, _STR, _required)],
    "elements": [(list, _NONE, list)],
    "value": [((str, int, float, bool), _NONE, lambda value: value)],
    "stringValue": [(str, _NONE, lambda value: value)],
    "numberValue": [((int, float), _NONE, lambda value: value)],
    "boolValue": [(bool, _NONE, lambda value: value)],
}
"""Method → on what, with which arguments, does what. All are pure; ``prop`` … ``boolValue`` are those of Spin JSON."""
