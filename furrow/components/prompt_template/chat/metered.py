"""Jinja's sandbox, metered: what a template does is counted while it does it, and ends where the budget ends.

Jinja's own sandbox keeps a template from reaching anything, not from doing something for ever: `range` is bounded, but
not loops within loops, texts that are doubled, `center(10**9)`, or a macro that calls itself twice. Nothing outside can
stop Python code, so the counting is compiled into the template: every block pays for its nodes when it is entered, and
whatever makes a value pays for it. What a template makes of a conversation is the same letter by letter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from furrow.components.prompt_template.chat import filters, methods
from furrow.components.prompt_template.chat.budget import Budget
from furrow.components.prompt_template.chat.operations import formatted, power, product

MAX_NODES = 20_000
"""Of a template: Qwen 3's has 900. It takes half a second to compile."""
_A_CALL = 4
"""Steps of a call by Jinja's way."""
_OF_LOOPS = ("depth", "depth0", "first", "index", "index0", "last", "length", "nextitem", "previtem")


class _Metering(CodeGenerator):
    """Writes the Python of a template, with the counting in it."""

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:  # type: ignore[override]
        body = list(body)
        self.writeline(f"environment.left -= {1 + sum(map(_cost, body))}")
        self.writeline("if environment.left < 0: environment.spend(0)")
        super().blockvisit(body, frame)

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("charged = environment.charged")

    def visit_Add(self, node: nodes.BinExpr, frame: Frame) -> None:
        self.write("(")
        self._paid(node.left, frame)
        self.write(" + ")
        self._paid(node.right, frame)
        self.write(")")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        join = "markup_join" if frame.eval_ctx.autoescape else "str_join"
        if frame.eval_ctx.volatile:
            join = "(markup_join if context.eval_ctx.volatile else str_join)"
        self.write(f"{join}((")
        for part in node.nodes:
            self._paid(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        """A constant beside it makes a comparison cheap, unless it is something long that is searched."""
        operands = [node.expr, *(operand.expr for operand in node.ops)]
        searches = any(operand.op in ("in", "notin") for operand in node.ops)
        visit = self._paid if searches or not any(isinstance(each, nodes.Const) for each in operands) else self.visit
        for sign, operand in zip(["(", *(f" {operators[each.op]} " for each in node.ops)], operands, strict=True):
            self.write(sign)
            visit(operand, frame)
        self.write(")")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:
        """`message.role` and `loop.first` are looked up at once: Jinja's way round costs more than all the counting."""
        if isinstance(node.node, nodes.Name) and node.node.name == "loop" and node.attr in _OF_LOOPS:
            quick, condition = f".{node.attr} if type(", ") is LoopContext"
        elif isinstance(node.node, nodes.Name) and not hasattr(dict, node.attr):
            quick, condition = f"[{node.attr!r}] if type(", f") is dict and {node.attr!r} in "
        else:
            super().visit_Getattr(node, frame)
            return
        self.write("(")
        self.visit(node.node, frame)
        self.write(quick)
        self.visit(node.node, frame)
        self.write(condition)
        if condition.endswith(" in "):
            self.visit(node.node, frame)
        self.write(" else ")
        super().visit_Getattr(node, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        is_slice = isinstance(node.arg, nodes.Slice)
        self.write("environment.sized(" if is_slice else "")
        super().visit_Getitem(node, frame)
        self.write(")" if is_slice else "")

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        """What Jinja computes while it compiles is paid for nowhere: only texts are, which are as long as written."""
        if not isinstance(node, nodes.TemplateData | nodes.Const):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_pre(node, frame, self._unless_paid(node, finalize))

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        super()._output_child_post(node, frame, self._unless_paid(node, finalize))

    def _unless_paid(self, node: nodes.Expr, finalize: Any) -> Any:
        """Its operands have paid for a sum of texts."""
        return finalize._replace(src=None) if isinstance(node, nodes.Add | nodes.Concat) else finalize

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        self._display(node, super().visit_Tuple, frame)

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        self._display(node, super().visit_List, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self._display(node, super().visit_Dict, frame)

    def _display(self, node: nodes.Expr, visit: Callable[[Any, Frame], None], frame: Frame) -> None:
        """A list within a list within a list, each twice, is as long as 2^n when it is written or compared."""
        pays = getattr(node, "ctx", "load") == "load" and any(node.find_all((nodes.Name, nodes.NSRef)))
        self.write("charged(" if pays else "")
        visit(node, frame)
        self.write(")" if pays else "")

    def _paid(self, operand: nodes.Expr, frame: Frame) -> None:
        """An operand is paid for: what is made of all of them is as long as they are."""
        is_paid = isinstance(operand, nodes.Const | nodes.Add | nodes.Concat)
        self.write("" if is_paid else "charged(")
        self.visit(operand, frame)
        self.write("" if is_paid else ")")


def _cost(node: nodes.Node) -> int:
    """Nodes, and the characters of the texts among them: what one pass through costs, or more where there are ifs."""
    text = node.data if isinstance(node, nodes.TemplateData) else getattr(node, "value", None)
    own = len(text) >> 4 if isinstance(text, str) else 0
    return 1 + own + sum(map(_cost, node.iter_child_nodes()))


class Metered(Budget, ImmutableSandboxedEnvironment):
    """An environment whose templates do no more than the budget that it was refilled with; one renders at a time."""

    code_generator_class = _Metering
    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self, **options: Any) -> None:
        super().__init__(finalize=self.charged, optimized=False, **options)
        for name in filters.LEFT_OUT:
            self.filters.pop(name, None)
        self.filters["tojson"] = filters.to_json
        self.filters = {name: filters.metered(name, each, self) for name, each in self.filters.items()}
        tests: dict[str, Any] = self.tests
        self.tests = {name: filters.metered_test(name, each, self) for name, each in tests.items()}
        del self.globals["lipsum"]
        self.refill()

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        """What stands in no block pays by a call of its own: the test of a loop, the defaults of a macro."""
        if (nodes_ := _cost(source)) > MAX_NODES:
            raise SecurityError(f"{nodes_:,} parts; at most {MAX_NODES:,} are read")
        for loop in source.find_all(nodes.For):
            if loop.test is not None:
                loop.test = nodes.And(_spend(_A_CALL + _cost(loop.test)), loop.test)
        macros: list[Any] = [*source.find_all(nodes.Macro), *source.find_all(nodes.CallBlock)]
        for macro in macros:
            macro.body.insert(0, nodes.ExprStmt(_spend(sum([_cost(default) for default in macro.defaults]))))
        return super()._generate(source, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            return product(left, right, self)
        if operator == "**":
            return power(left, right, self)
        if isinstance(left, str):
            formatted(left, right, self, braces=False)
        return left % right

    def call_test(self, name: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Called by filters such as `select`, for each item."""
        self.spend(1)
        return super().call_test(name, value, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        sandboxed = super().wrap_str_format(value)
        if sandboxed is None:
            return None

        @functools.wraps(sandboxed)
        def bounded(*args: Any, **kwargs: Any) -> str:
            formatted(value.__self__, [*args, kwargs], self, braces=True)
            return sandboxed(*args, **kwargs)

        return bounded

    def call(  # type: ignore[override]
        __self,
        __context: Context,
        __callee: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        owner = getattr(__callee, "__self__", None)
        if isinstance(owner, methods.OWNERS):
            return methods.call(__self, __callee, args, kwargs)
        if isinstance(owner, LoopContext):
            __self.charged(list(args))  # loop.changed compares them
        elif isinstance(owner, type):
            raise SecurityError(f"{__callee.__name__} is not for chat templates")
        return __self.charged(super().call(__context, __callee, *args, **kwargs))


def _spend(steps: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute("spend"), [nodes.Const(steps)], [], None, None)
