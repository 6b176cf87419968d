"""Compiles updates as a whole: forward pass, backward pass and the gradient of a gradient are one list of operations.

torch.compile takes a network's forward and backward pass for itself and knows no second derivative. Here autograd has
done its work when the operations are listed (make_fx), and Inductor joins what it can of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx

from wavegan.methods.base import Stats


class Work(Protocol):
    """Describes an update of fixed tensors: a call leaves gradients in `.grad` and returns statistics.

    prepare() makes the update's parameters, which it returns, the only ones that learn. A work may read tensors that
    the work before it has left; works are done in their order.
    """

    def prepare(self) -> Sequence[Tensor]: ...
    def __call__(self) -> Stats: ...


Compiler = Callable[[GraphModule, list[Tensor]], Callable[..., Sequence[Tensor]]]


def inductor(module: GraphModule, inputs: list[Tensor]) -> Callable[..., Sequence[Tensor]]:
    """Compiles operations for inputs of these shapes; random numbers that it draws are those of torch.

    Activations stay in the order in memory in which autograd had them, channels last: where Inductor chooses, an image
    of one row gets a stride of 0, which cuDNN takes for channels first. Inductor keeps what it has compiled in its
    cache folder, but only where it knows the inputs as fakes of one mode.
    """
    from torch._guards import TracingContext, tracing  # here, as these imports take half a second
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    options = {"fallback_random": True, "layout_optimization": False}
    mode = FakeTensorMode(shape_env=ShapeEnv())
    fakes = [mode.from_tensor(tensor, static_shapes=True) for tensor in inputs]
    with tracing(TracingContext(mode)):
        return torch._inductor.compile(module, fakes, options=options)  # pyright: ignore


def compiled(works: Sequence[Work], compiler: Compiler = inductor) -> Sequence[Work]:
    """Returns works that do the same, each by one compiled function.

    The works run once. What they read is read anew at every call, so weights may change in between. Random numbers are
    drawn before the function, as torch draws them, since a compiler may change the order of draws.
    """
    traced = _Traced.of(works)
    left: dict[Node, Tensor] = {}
    parts = []
    for number, work in enumerate(works):
        part = traced.part(number, work, left)
        with torch.no_grad():  # or the compiler would prepare yet another backward pass
            part.function = compiler(part.function, part.inputs())  # type: ignore[arg-type]
        part()  # leaves what the next one reads
        parts.append(part)
    return parts


@dataclass
class _Part:
    """Does a work by one function of: the tensors that it reads, random numbers, and what works before have left."""

    prepare: Callable[[], Sequence[Tensor]]
    parameters: Sequence[Tensor]
    function: Callable[..., Sequence[Tensor]]
    read: list[Tensor]
    draws: list[Callable[[], Tensor]]
    received: list[Node]
    sent: list[Node]
    has_gradient: list[bool]
    names: list[str]
    left: dict[Node, Tensor] = field(repr=False)

    def inputs(self) -> list[Tensor]:
        return [*self.read, *(draw() for draw in self.draws), *(self.left[node] for node in self.received)]

    def __call__(self) -> Stats:
        kind = self.parameters[0].device.type
        with torch.no_grad(), torch.autocast(kind, enabled=False):  # types were settled when the work was traced
            results = iter(self.function(*self.inputs()))
        for parameter, has in zip(self.parameters, self.has_gradient, strict=True):
            parameter.grad = _laid_out_as(parameter, next(results)) if has else None
        stats = {name: next(results) for name in self.names}
        self.left.update(zip(self.sent, results, strict=True))
        return stats


@dataclass
class _Traced:
    """Holds the operations of some works, `ends` their number up to the end of each work."""

    module: GraphModule
    ends: list[int]
    has_gradient: list[list[bool]]
    names: list[list[str]]

    @classmethod
    def of(cls, works: Sequence[Work]) -> "_Traced":
        """Runs the works and lists their operations."""
        ends, has_gradient, names = [], [], []

        def run() -> list[Tensor]:
            outputs = []
            for work in works:
                stats, gradients = work(), [parameter.grad for parameter in work.prepare()]
                outputs += [gradient for gradient in gradients if gradient is not None] + list(stats.values())
                ends.append(len(get_proxy_mode().tracer.graph.nodes))  # type: ignore[union-attr]
                has_gradient.append([gradient is not None for gradient in gradients])
                names.append(list(stats))
            return outputs

        from torch._guards import TracingContext, tracing  # here, as in `inductor`
        from torch._subclasses.fake_tensor import FakeTensorMode

        with tracing(TracingContext(FakeTensorMode())):  # one for all operations, where each would make its own
            module = make_fx(run)()
        return cls(module, ends, has_gradient, names)

    def part(self, number: int, work: Work, left: dict[Node, Tensor]) -> _Part:
        """Makes the part of one work, whose function is not compiled yet."""
        *nodes, output = self.module.graph.nodes
        begin, end = [0, *self.ends][number : number + 2]
        own, later = nodes[begin:end], {*nodes[end:]}
        graph, copies = Graph(), {}
        read: dict[int, Tensor] = {}
        placeholders: dict[int, Node] = {}
        for node in (node for node in nodes if node.op == "get_attr" and not {*own}.isdisjoint(node.users)):
            tensor = getattr(self.module, str(node.target))  # several nodes may read one tensor
            if id(tensor) not in read:
                read[id(tensor)], placeholders[id(tensor)] = tensor, graph.placeholder(f"read_{len(read)}")
            copies[node] = placeholders[id(tensor)]
        drawn = [node for node in own if _is_a_draw(node)]
        received = [node for node in nodes[:begin] if node.op != "get_attr" and not {*own}.isdisjoint(node.users)]
        for node in [*drawn, *received]:
            copies[node] = graph.placeholder(node.name)
        for node in own:
            if node.op != "get_attr" and node not in copies:
                copies[node] = graph.node_copy(node, copies.__getitem__)
        sent = [node for node in own if node.op != "get_attr" and not later.isdisjoint(node.users)]
        graph.output(tuple(copies[node] for node in [*self._results(number, output), *sent]))
        return _Part(
            work.prepare,
            work.prepare(),
            GraphModule(torch.nn.Module(), graph),
            list(read.values()),
            [_draw(node) for node in drawn],
            received,
            sent,
            self.has_gradient[number],
            self.names[number],
            left,
        )

    def _results(self, number: int, output: Node) -> list[Node]:
        """Returns the operations that give a work's gradients and statistics."""
        counts = [sum(has) + len(names) for has, names in zip(self.has_gradient, self.names, strict=True)]
        before = sum(counts[:number])
        return output.args[0][before : before + counts[number]]  # type: ignore[index, return-value]


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Returns a gradient in its parameter's order in memory, in which a fused optimiser reads both."""
    is_alike = gradient.stride() == parameter.stride()
    return gradient if is_alike else torch.empty_like(parameter).copy_(gradient)


def _is_a_draw(node: Node) -> bool:
    """Says whether an operation draws random numbers whatever the values of other tensors."""
    tags = getattr(node.target, "tags", ())
    return torch.Tag.nondeterministic_seeded in tags and not node.all_input_nodes


def _draw(node: Node) -> Callable[[], Any]:
    return lambda: node.target(*node.args, **node.kwargs)  # type: ignore[operator]
