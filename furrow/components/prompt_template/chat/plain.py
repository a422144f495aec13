"""Whether a chat template only puts text around what is said: then conversations of one shape differ in that alone.

Read from its syntax, and when in doubt the answer is no. A template that is plain joins contents to other text, takes
white space off their ends, and asks whether there are any; it never compares, cuts, counts or searches them. The proof
holds for messages of role and content, the roles being those of ROLES, no content blank, and no tools.
"""

from __future__ import annotations

from enum import IntEnum

from jinja2 import nodes

ROLES = frozenset(("system", "user", "assistant"))
_ASKS = frozenset(("defined", "undefined", "none", "string", "mapping", "iterable", "sequence"))
"""Tests that give the same for any text."""
_METHODS = frozenset((*dir(dict), *dir(list)))


_GIVEN = frozenset(
    (
        "add_generation_prompt", "bos_token", "cycler", "dict", "eos_token", "joiner", "messages", "namespace",
        "raise_exception", "range", "tools",
    )
)  # fmt: skip
"""Names that stand for something, whatever the template sets; `tools` for none."""


class Kind(IntEnum):
    """What may stand in a value."""

    CLEAN = 0  # nothing of what is said
    TEXT = 1  # what is said, joined to other text
    TALK = 2  # a message, or a list of them


class _LooksInside(Exception):
    """The template does something that is not known to be the same for every content."""


def is_plain(template: nodes.Template) -> bool:
    """The answer for a parsed template."""
    reading = _Reading()
    try:
        before = None
        while before != (
            known := (dict(reading.names), reading.no_tools)
        ):  # used above the line that sets it, in a loop
            before = known
            reading.body(template.body)
    except _LooksInside:
        return False
    return True


class _Reading:
    """Goes through every statement that can be reached, and remembers what each name may stand for."""

    def __init__(self) -> None:
        self.names: dict[str, Kind] = {"messages": Kind.TALK}
        self.no_tools = True

    def body(self, statements: list[nodes.Node]) -> None:
        for statement in statements:
            self._statement(statement)

    def _statement(self, node: nodes.Node) -> None:
        match node:
            case nodes.Output():
                for part in node.nodes:
                    if self._kind(part) is Kind.TALK:
                        raise _LooksInside
            case nodes.Assign(target=nodes.Name(name=name)):
                self._set(name, self._kind(node.node))
                if name == "tools" and not (isinstance(node.node, nodes.Const) and node.node.value is None):
                    self.no_tools = False
            case nodes.Assign(target=nodes.NSRef()):
                self._clean(node.node)
            case nodes.If():
                self._branches(node)
            case nodes.For(target=nodes.Name(name=name), recursive=False):
                kind = self._kind(node.iter)
                if kind is Kind.TEXT:
                    raise _LooksInside
                self._set(name, kind)
                self.no_tools = self.no_tools and name != "tools"
                if node.test is not None:
                    self._kind(node.test)
                self.body([*node.body, *node.else_])
            case nodes.ExprStmt():
                self._clean(node.node)
            case nodes.Break() | nodes.Continue():
                pass
            case _:
                raise _LooksInside

    def _branches(self, node: nodes.If) -> None:
        for branch in (node, *node.elif_):
            truth = self._truth(branch.test)
            if truth is not False:
                self._kind(branch.test)
                self.body(branch.body)
            if truth is True:
                return
        self.body(node.else_)

    def _set(self, name: str, kind: Kind) -> None:
        known = self.names.get(name, kind)
        if {known, kind} == {Kind.TEXT, Kind.TALK} or name == "loop":
            raise _LooksInside
        self.names[name] = max(known, kind)

    def _clean(self, *expressions: nodes.Node | None) -> Kind:
        if any(expression is not None and self._kind(expression) is not Kind.CLEAN for expression in expressions):
            raise _LooksInside
        return Kind.CLEAN

    def _joined(self, *expressions: nodes.Node | None) -> Kind:
        kinds = {self._kind(expression) for expression in expressions if expression is not None}
        if kinds >= {Kind.TEXT, Kind.TALK}:
            raise _LooksInside
        return max(kinds, default=Kind.CLEAN)

    def _kind(self, node: nodes.Node) -> Kind:
        match node:
            case nodes.Const() | nodes.TemplateData():
                return Kind.CLEAN
            case nodes.Name(name="loop" | "self" | "caller"):
                raise _LooksInside
            case nodes.Name():
                return self.names.get(node.name, Kind.CLEAN)
            case nodes.Getattr(node=nodes.Name(name="loop")):
                return Kind.TALK if node.attr in ("previtem", "nextitem") else Kind.CLEAN
            case nodes.Getattr():
                return self._part(node.node, node.attr, by_name=True)
            case nodes.Getitem(arg=nodes.Const(value=str(key))):
                return self._part(node.node, key, by_name=False)
            case nodes.Getitem():
                return self._item(node)
            case nodes.Filter() if node.node is not None:
                return self._filtered(node)
            case nodes.Test(name=name) if name in _ASKS and not node.args:
                self._kind(node.node)
                return Kind.CLEAN
            case nodes.Compare():
                return self._compared(node)
            case nodes.Not():
                self._kind(node.node)
                return Kind.CLEAN
            case nodes.And() | nodes.Or():
                return self._joined(node.left, node.right)
            case nodes.CondExpr():
                self._kind(node.test)
                return self._joined(node.expr1, node.expr2)
            case nodes.Add() | nodes.Concat():
                operands = node.nodes if isinstance(node, nodes.Concat) else [node.left, node.right]
                if (kind := self._joined(*operands)) is Kind.TALK:
                    raise _LooksInside
                return kind
            case nodes.Call():
                return self._called(node)
            case nodes.BinExpr() | nodes.UnaryExpr() | nodes.List() | nodes.Tuple() | nodes.Dict() | nodes.Pair():
                return self._clean(*node.iter_child_nodes())
            case nodes.Test() | nodes.Keyword() | nodes.Slice():
                return self._clean(*node.iter_child_nodes())
        raise _LooksInside

    def _part(self, owner: nodes.Node, key: str, *, by_name: bool) -> Kind:
        """`message.role`, `message['content']`, or a key that no message has."""
        kind = self._kind(owner)
        if kind is Kind.TEXT or (kind is Kind.TALK and by_name and key in _METHODS):
            raise _LooksInside
        return Kind.TEXT if kind is Kind.TALK and key == "content" else Kind.CLEAN

    def _item(self, node: nodes.Getitem) -> Kind:
        """`messages[0]`, `messages[1:]`, `messages[loop.index0 - 1]`; no name, which might stand for 'content'."""
        if (kind := self._kind(node.node)) is Kind.TEXT:
            raise _LooksInside
        self._clean(node.arg)
        counts = isinstance(node.arg, nodes.Const | nodes.Slice | nodes.Add | nodes.Sub | nodes.Neg)
        if kind is Kind.TALK and not counts:
            raise _LooksInside
        return kind

    def _filtered(self, node: nodes.Filter) -> Kind:
        bare = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
        kind = self._kind(node.node) if node.node is not None else Kind.CLEAN
        if bare and node.name in ("trim", "string") and kind is not Kind.TALK:
            return kind
        if bare and node.name in ("length", "count") and kind is not Kind.TEXT:
            return Kind.CLEAN
        return self._clean(*node.iter_child_nodes())

    def _compared(self, node: nodes.Compare) -> Kind:
        kinds = [self._kind(node.expr), *(self._kind(operand.expr) for operand in node.ops)]
        if len(node.ops) == 1 and any(kinds):
            [operand] = node.ops
            has_key = operand.op in ("in", "notin") and isinstance(node.expr, nodes.Const) and kinds[1] is Kind.TALK
            beside = operand.expr if kinds[0] else node.expr
            is_there = operand.op in ("eq", "ne") and isinstance(beside, nodes.Const) and _equals_no_text(beside.value)
            if not (has_key or is_there):
                raise _LooksInside
        elif any(kinds):
            raise _LooksInside
        return Kind.CLEAN

    def _called(self, node: nodes.Call) -> Kind:
        bare = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
        match node.node:
            case nodes.Name(name="raise_exception"):
                return Kind.CLEAN
            case nodes.Getattr(attr="strip") if bare and self._kind(node.node.node) is Kind.TEXT:
                return Kind.TEXT
            case nodes.Getattr(node=nodes.Name(name="loop")) | nodes.Name(name="namespace" | "range"):
                return self._clean(*node.args, *(each.value for each in node.kwargs), node.dyn_args, node.dyn_kwargs)
        raise _LooksInside

    def _truth(self, node: nodes.Node) -> bool | None:
        """What a condition is for every conversation that the proof is about; None where that depends on it."""
        match node:
            case nodes.Const():
                return bool(node.value)
            case nodes.Name(name="tools") if self.no_tools:
                return False
            case nodes.Test(name="none", node=nodes.Name(name="tools")) if self.no_tools:
                return True
            case nodes.Test(name="defined", node=nodes.Name(name=name)):
                return True if name in _GIVEN else None if name in self.names else False
            case nodes.Not():
                truth = self._truth(node.node)
                return None if truth is None else not truth
            case nodes.And():
                truths = {self._truth(node.left), self._truth(node.right)}
                return False if False in truths else None if None in truths else True
            case nodes.Or():
                truths = {self._truth(node.left), self._truth(node.right)}
                return True if True in truths else None if None in truths else False
            case nodes.Getattr() | nodes.Getitem() | nodes.Test(name="defined"):
                return False if self._is_absent(node.node if isinstance(node, nodes.Test) else node) else None
            case nodes.Compare(ops=[nodes.Operand(op=("eq" | "ne") as op, expr=nodes.Const(value=str(name)))]):
                return op == "ne" if self._is_role(node.expr) and name not in ROLES else None
            case nodes.Compare(expr=nodes.Const(value=str(name)), ops=[nodes.Operand(op=("in" | "notin") as op)]):
                talks = isinstance(node.ops[0].expr, nodes.Name) and self._kind(node.ops[0].expr) is Kind.TALK
                return op == "notin" if talks and name not in ("role", "content") else None
        return None

    def _is_absent(self, node: nodes.Node) -> bool:
        """A key that no message has."""
        key = _key_of(node)
        owner = getattr(node, "node", None)
        if key is None or key in ("role", "content") or key in _METHODS or owner == nodes.Name("loop", "load"):
            return False
        return self._kind(node.node) is Kind.TALK  # type: ignore[attr-defined]

    def _is_role(self, node: nodes.Node) -> bool:
        return _key_of(node) == "role" and self._kind(node.node) is Kind.TALK  # type: ignore[attr-defined]


def _equals_no_text(value: object) -> bool:
    return value is None or value == "" or isinstance(value, bool)


def _key_of(node: nodes.Node) -> str | None:
    match node:
        case nodes.Getattr():
            return node.attr
        case nodes.Getitem(arg=nodes.Const(value=str(key))):
            return key
    return None
