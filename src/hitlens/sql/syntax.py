"""The SQL expressions of recipes and descriptions: text to a tree, checked before anything is computed.

A condition such as ``energy_mev > 0.5 AND n_electrons = 1`` comes with recipes, model files and event files
of other people. So the language is small and closed: columns, numbers, texts, operators, CASE and the
functions of `hitlens.sql.functions`; length and nesting are limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hitlens.errors import SelectionError, choose_from
from hitlens.sql.functions import FUNCTIONS

#: Longest expression, words and signs; a hundred classes or a thousand conditions need fewer.
MAX_TOKENS = 10_000
#: Deepest nesting of parentheses, CASE and NOT.
MAX_DEPTH = 60


@dataclass(frozen=True)
class Literal:
    """A number, text, truth value or NULL."""

    value: int | float | str | bool | None


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function or operator on values.

    Attributes:
        name: in capitals; operators by their sign, for example "<=" and "NOT".
        arguments: its values, in order.
    """

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Chain:
    """Values joined from left to right by operators of one rank, such as ``a - b + c``.

    Attributes:
        first: the value on the left.
        rest: operator and value on its right.
    """

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Case:
    """CASE WHEN condition THEN value ... ELSE value END.

    Attributes:
        branches: condition and value.
        otherwise: value where no condition holds.
    """

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node


Node = Literal | Column | Call | Chain | Case

#: Rank of operators, the loosest first.
_OR, _AND, _NOT, _COMPARISON, _BITS, _TEXT, _SUM, _PRODUCT, _SIGN = range(1, 10)
_RANKS = {
    "OR": _OR,
    "AND": _AND,
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">=", "IS", "IN", "BETWEEN", "LIKE", "ILIKE"), _COMPARISON),
    **dict.fromkeys(("&", "|"), _BITS),
    "||": _TEXT,
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "//", "%"), _PRODUCT),
}
_SAME = {"==": "=", "!=": "<>"}
_WORDS = frozenset(
    {"AND", "OR", "NOT", "IN", "IS", "NULL", "TRUE", "FALSE", "BETWEEN", "LIKE", "ILIKE", "DISTINCT", "FROM"}
    | {"CASE", "WHEN", "THEN", "ELSE", "END"}
)
#: CAST types by their names.
TYPES = {
    **dict.fromkeys(["INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "INT8", "INT4", "INT2"], "integer"),
    **dict.fromkeys(["FLOAT", "REAL", "DOUBLE", "FLOAT8", "FLOAT4", "NUMERIC", "DECIMAL"], "number"),
    **dict.fromkeys(["TEXT", "VARCHAR", "STRING", "CHAR"], "text"),
    **dict.fromkeys(["BOOL", "BOOLEAN"], "condition"),
}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|<>|!=|==|\|\||//|::|[-+*/%<>=(),&|])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises:
        SelectionError: it cannot be read, is too long or too deep; says where.

    Examples:
        >>> parse("q > 2")
        Call(name='>', arguments=(Column(name='q'), Literal(value=2)))
    """
    return _Parser(text).parse()


def columns_of(text: str) -> frozenset[str]:
    """Return the names of the columns an expression reads.

    Raises:
        SelectionError: as `parse`.

    Examples:
        >>> sorted(columns_of("SQRT(x * x + y * y) > 2"))
        ['x', 'y']
    """
    return frozenset(node.name for node in _walk(parse(text)) if isinstance(node, Column))


def readable(text: str) -> str:
    """Return an expression that can be read, or an empty text; a check of settings.

    Raises:
        SelectionError: as `parse`.

    Examples:
        >>> readable("q > 2")
        'q > 2'
    """
    if text:
        parse(text)
    return text


def called(text: str) -> str:
    """Return an expression as messages quote it: a long one is cut."""
    return f"'{text}'" if len(text) <= 120 else f"'{text[:100]} ...' ({len(text):,} characters)"


def _walk(node: Node) -> Iterator[Node]:
    waiting: list[Node] = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Call):
            waiting += node.arguments
        elif isinstance(node, Chain):
            waiting += [node.first, *(value for _, value in node.rest)]
        elif isinstance(node, Case):
            waiting += [part for branch in node.branches for part in branch] + [node.otherwise]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._at = self._depth = 0

    def parse(self) -> Node:
        node = self._expression(0)
        if self._kind != "end":
            raise self._error(f"{self._here()} was not expected")
        return node

    def _split(self) -> list[tuple[str, str, int]]:
        tokens: list[tuple[str, str, int]] = []
        position = 0
        while True:
            match = _TOKEN.match(self._text, position)
            if match is None:
                rest = self._text[position:].lstrip()
                problem = "the text is not closed" if rest[0] in "'\"`" else f"{rest[0]!r} is no part of SQL"
                raise self._error(f"{problem} (character {len(self._text) - len(rest) + 1})")
            kind = str(match.lastgroup)
            word = match[kind]
            if kind == "word" and word.upper() in _WORDS:
                kind, word = "sign", word.upper()
            tokens.append((kind, _SAME.get(word, word), match.start(kind) + 1))
            if kind == "end":
                return tokens
            if len(tokens) > MAX_TOKENS:
                raise self._error(f"it is longer than {MAX_TOKENS:,} words and signs")
            position = match.end()

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _here(self) -> str:
        kind, word, position = self._tokens[self._at]
        return "the end" if kind == "end" else f"'{word}' (character {position})"

    def _error(self, problem: str) -> SelectionError:
        return SelectionError(f"Expression {called(self._text)} cannot be read as SQL: {problem}.")

    def _is(self, *signs: str) -> bool:
        kind, word, _ = self._tokens[self._at]
        return kind == "sign" and word in signs

    def _take(self, *signs: str) -> bool:
        if self._is(*signs):
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise self._error(f"'{sign}' is missing before {self._here()}")

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _expression(self, rank: int) -> Node:
        """Read a value and the operators behind it that bind more tightly than ``rank``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"it is nested deeper than {MAX_DEPTH} levels")
        node = self._first()
        while (found := self._rank()) > rank:
            node = self._comparison(node) if found == _COMPARISON else self._chain(node, found)
        self._depth -= 1
        return node

    def _rank(self) -> int:
        kind, word, _ = self._tokens[self._at]
        if kind != "sign":
            return 0
        if word == "NOT":  # behind a value: NOT IN, NOT BETWEEN, NOT LIKE
            return _COMPARISON
        return _SIGN + 1 if word == "::" else _RANKS.get(word, 0)

    def _chain(self, first: Node, rank: int) -> Node:
        if rank > _SIGN:
            self._need("::")
            return Call("CAST", (first, Literal(self._type())))
        rest = []
        while self._rank() == rank:
            rest.append((self._next(), self._expression(rank)))
        return Chain(first, tuple(rest))

    def _first(self) -> Node:
        kind, word, _ = self._tokens[self._at]
        if kind == "sign":
            return self._signed()
        if kind == "end":
            raise self._error("a value is missing at the end")
        self._at += 1
        if kind == "number":
            return Literal(int(word) if word.isdecimal() and len(word) < 40 else float(word))
        if kind == "text":
            return Literal(word[1:-1].replace("''", "'"))
        if kind == "quoted":
            return Column(word[1:-1].replace('""', '"'))
        return self._call(word.upper()) if self._is("(") else Column(word)

    def _signed(self) -> Node:
        if self._take("("):
            node = self._expression(0)
            self._need(")")
            return node
        if self._take("NOT"):
            return Call("NOT", (self._expression(_NOT),))
        if self._is("-", "+"):
            sign, value = self._next(), self._expression(_SIGN)
            return Call("NEGATE", (value,)) if sign == "-" else value
        if self._take("CASE"):
            return self._case()
        if self._is("TRUE", "FALSE", "NULL"):
            return Literal({"TRUE": True, "FALSE": False, "NULL": None}[self._next()])
        raise self._error(f"a value is missing before {self._here()}")

    def _comparison(self, left: Node) -> Node:
        node = self._compared(left)
        if self._rank() == _COMPARISON and not self._is("IS"):
            raise self._error(f"two comparisons in a row at {self._here()}: join them with AND")
        return node

    def _compared(self, left: Node) -> Node:
        if self._take("IS"):
            return self._is_what(left)
        negated = self._take("NOT")
        if negated and not self._is("IN", "BETWEEN", "LIKE", "ILIKE"):
            raise self._error(f"IN, BETWEEN or LIKE is missing before {self._here()}")
        sign = self._next()
        if sign == "IN":
            self._need("(")
            node: Node = Call("IN", (left, *self._arguments()))
        elif sign == "BETWEEN":
            low = self._expression(_COMPARISON)
            self._need("AND")
            high = self._expression(_COMPARISON)
            node = Chain(Call(">=", (left, low)), (("AND", Call("<=", (left, high))),))
        else:
            node = Call(sign, (left, self._expression(_COMPARISON)))
        return Call("NOT", (node,)) if negated else node

    def _is_what(self, left: Node) -> Node:
        negated = self._take("NOT")
        if self._take("DISTINCT"):
            self._need("FROM")
            node, negated = Call("IS SAME", (left, self._expression(_COMPARISON))), not negated
        elif self._take("NULL"):
            node = Call("IS NULL", (left,))
        elif self._is("TRUE", "FALSE"):
            node = Call(f"IS {self._next()}", (left,))
        else:
            raise self._error(
                f"IS must be followed by NULL, TRUE, FALSE or DISTINCT FROM, not {self._here()}"
            )
        return Call("NOT", (node,)) if negated else node

    def _case(self) -> Node:
        operand = None if self._is("WHEN") else self._expression(0)
        branches: list[tuple[Node, Node]] = []
        while self._take("WHEN"):
            when = self._expression(0)
            self._need("THEN")
            condition = when if operand is None else Call("=", (operand, when))
            branches.append((condition, self._expression(0)))
        if not branches:
            raise self._error(f"'WHEN' is missing before {self._here()}")
        otherwise = self._expression(0) if self._take("ELSE") else Literal(None)
        self._need("END")
        return Case(tuple(branches), otherwise)

    def _call(self, name: str) -> Node:
        self._need("(")
        if name in ("CAST", "TRY_CAST"):
            value = self._expression(0)
            if self._next().upper() != "AS":
                self._at -= 1
                raise self._error(f"'AS' is missing before {self._here()}")
            call = Call(name, (value, Literal(self._type())))
            self._need(")")
            return call
        if name not in FUNCTIONS:
            raise self._error(f"there is no function {name}. {choose_from(name, FUNCTIONS)}".rstrip("."))
        arguments = () if self._take(")") else self._arguments()
        function = FUNCTIONS[name]
        if not function.least <= len(arguments) <= function.most:
            raise self._error(f"{name} takes {function.takes}, not {len(arguments)}")
        return Call(name, arguments)

    def _arguments(self) -> tuple[Node, ...]:
        arguments = [self._expression(0)]
        while self._take(","):
            arguments.append(self._expression(0))
        self._need(")")
        return tuple(arguments)

    def _type(self) -> str:
        name = self._next().upper()
        if name not in TYPES:
            raise self._error(
                f"there is no type {name or 'at the end'}. {choose_from(name, TYPES)}".rstrip(".")
            )
        return TYPES[name]
