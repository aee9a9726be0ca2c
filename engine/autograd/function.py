"""Custom operations: a forward and a backward written by the user on Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..batching import Unbatchable, as_array, levels_of
from ..registry.batches import collapsed, example_by_example
from ..registry.nodes import Packed, changed, check_unchanged, reduce_to, released
from ..registry.packing import pack
from ..tape.mode import mode
from ..tape.nodes import RELEASED, Node, Output, conjugated
from ..tape.provenance import caller
from ..tape.version import tick
from ..tensors.tensor import Tensor
from .function_batches import apply_mapped, are_mapped, backward_by_rows
from .function_outputs import NEVER_STALE, SavedOutput, edge_of, forget_own_outputs, kind_of, output_of


class FunctionNode(Node):
    """The node of one ``Function.apply``, which is also the *ctx* its forward and backward share.

    Besides the methods below, any attribute may be set on it to carry other values to the backward.
    """

    __slots__ = ("__dict__", "_saved")

    returns_fresh = False
    _function: ClassVar[type[Function]]

    def __init__(self) -> None:
        self.edges = ()
        self.seq = 0
        self.code, self.lasti = None, 0
        self.hooks = self.version = None
        self._saved: Any = ()
        self._inputs: list[Any] = []  # per argument the shape and dtype of its gradient, or None
        self._outputs: list[tuple[tuple[int, ...], Any]] = []
        self.needs_input_grad: tuple[bool, ...] = ()
        self._materialize = True
        self._dirty: tuple[Tensor, ...] = ()
        self._constant: tuple[Tensor, ...] = ()

    def name(self) -> str:
        return self._function.__name__ + "Backward"

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep *tensors* (inputs, outputs or others) for the backward; a later in-place change of one is noticed."""
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of type "
                    f"{type(tensor).__name__}: set it as an attribute of ctx"
                )
        self._saved = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep *tensors* for ``jvp``, which finds them in ``saved_tensors`` too, unless others are kept for the backward."""
        if not self._saved:
            self.save_for_backward(*tensors)

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors kept by ``save_for_backward``."""
        if self._saved is RELEASED:
            released(self)
        for tensor in self._saved:
            if isinstance(tensor, Tensor):
                check_unchanged(self, tensor, "a tensor")
            elif isinstance(tensor, SavedOutput) and tensor.counter.stamp > tensor.stamp:
                changed(self, tensor.array, "the result", tensor.counter.place)
        return tuple(self._unpacked(t) for t in self._saved)

    def _unpacked(self, tensor: Any) -> Any:
        """An output of this node was saved without its node, to keep clear of a cycle: give that back."""
        if isinstance(tensor, Packed):
            return tensor.unpack()
        if not isinstance(tensor, SavedOutput):
            return tensor
        node: Node = self if len(self._outputs) == 1 else Output(self, tensor.index, len(self._outputs))
        return Tensor._wrap(tensor.array if tensor.packed is None else tensor.packed.unpack()._array, node)

    def pack(self) -> None:
        """Let what was saved go through the hooks of ``saved_tensors_hooks`` that are active."""
        hook, unpack = mode.packing[-1]
        packed: list[Any] = []
        for tensor in self._saved:
            if isinstance(tensor, SavedOutput):
                tensor.packed, tensor.stamp = pack(Tensor._wrap(tensor.array), hook, unpack), NEVER_STALE
                tensor.array = None
            packed.append(pack(tensor, hook, unpack, tensor._node) if isinstance(tensor, Tensor) else tensor)
        self._saved = tuple(packed)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that the forward changed these inputs in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that no gradient goes through these outputs."""
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a missing output gradient reaches the backward as zeros (the default) or as None."""
        self._materialize = value

    def gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        incoming = [None if x is None else Tensor._wrap(as_array(x)) for x in self._gathered(g)]
        try:
            return [None if x is None else x._array for x in self._backward(incoming)]
        except Unbatchable:
            return backward_by_rows(self._backward, incoming, self.name())

    def recorded_gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        if mode.pulling_forward and self._function.jvp is not Function.jvp:
            return self._pulled([conjugated(x) for x in self._gathered(g)])
        incoming = self._gathered(g)
        try:
            return self._backward(incoming)
        except Unbatchable:
            found: list[Any] = example_by_example(lambda *gs: self._backward(list(gs)), self.name())(*incoming)
            return found

    def _pulled(self, incoming: list[Any]) -> list[Any]:
        """Zeros for each input that are linear in *incoming*: differentiated again, they give the user's ``jvp``."""
        places = [i for i, edge in enumerate(self.edges) if edge is not None]
        zeros = _Pulled.apply(self, places, *self._materialized(incoming))
        gradients: list[Any] = [None] * len(self.edges)
        for place, zero in zip(places, zeros, strict=True):
            gradients[place] = conjugated(zero)
        return gradients

    def _materialized(self, incoming: list[Any]) -> list[Any]:
        return [Tensor._wrap(np.zeros(shape, dtype=dtype)) if x is None else x
                for x, (shape, dtype) in zip(incoming, self._outputs, strict=True)]  # fmt: skip

    def _gathered(self, g: Any) -> list[Any]:
        return list(g) if isinstance(g, list) else [g]

    def _backward(self, incoming: list[Any]) -> list[Any]:
        """The gradients of the inputs, computed by the user's backward in PyTorch's convention."""
        returned = self._called([conjugated(x) for x in incoming])
        return [conjugated(self._validated(i, x)) for i, x in enumerate(returned)]

    def _called(self, incoming: list[Any]) -> list[Any]:
        incoming = self._materialized(incoming) if self._materialize else incoming
        arrays, mode.rules_on_arrays = mode.rules_on_arrays, False
        try:
            results = self._function.backward(self, *incoming)
        finally:
            mode.rules_on_arrays = arrays
        listed = list(results) if isinstance(results, (tuple, list)) else [results]
        while len(listed) > len(self.edges) and listed[-1] is None:
            listed.pop()
        if len(listed) != len(self.edges):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.edges)}, got "
                f"{len(listed)}): one for each argument of forward, None where there is none; it was called at {self.place}"
            )
        return listed

    def _validated(self, position: int, g: Any) -> Any:
        """*g*, which the backward returned for the input at *position*, with that input's shape and type."""
        if g is None or self._inputs[position] is None:
            return None
        if not isinstance(g, Tensor):
            raise RuntimeError(
                f"{self.name()} returned for its input {position} neither a Tensor nor None but {type(g).__name__}"
            )
        shape, dtype = self._inputs[position]
        if g._array.shape != shape:
            if not _sums_to(g._array.shape, shape):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {position} - got "
                    f"{list(g.shape)} but expected shape compatible with {list(shape)}"
                )
            g = reduce_to(g, shape)
        if g._array.dtype != dtype:
            g = g.real if g.is_complex() and dtype.kind != "c" else g
            g = g.to(dtype)
        return g

    def release(self) -> None:
        if self._saved:
            self._saved = RELEASED


def _sums_to(found: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether summing over dimensions makes the shape *found* to *shape*."""
    tail = found[len(found) - len(shape) :]
    return len(found) >= len(shape) and all(b in (1, a) for a, b in zip(tail, shape, strict=True))


class Function:
    """A custom operation: subclass it with static methods ``forward`` and ``backward``, and call ``apply``.

    ``forward(ctx, *inputs)`` computes on Tensors without recording (or ``forward(*inputs)`` together with
    ``setup_context(ctx, inputs, output)``); ``backward(ctx, *grad_outputs)`` returns one gradient per input, None
    where there is none. Under ``create_graph`` the backward is recorded like any other code.

    >>> import allgrad as torch
    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> Double.apply(x).backward(); x.grad
    tensor([2.])
    """

    _node_type: ClassVar[type[FunctionNode] | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._node_type = None

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; to be overridden."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what the backward needs, where ``forward`` has no *ctx* argument; to be overridden."""
        raise NotImplementedError("setup_context is not implemented for this Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the inputs from those of the outputs; to be overridden."""
        raise NotImplementedError("You must implement the backward function for custom autograd.Function.")

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Compute the tangents of the outputs from those of the inputs; where it is not overridden, forward-mode
        derivatives come of the backward, differentiated once more.
        """
        raise NotImplementedError("You must implement the jvp function for custom autograd.Function to use it.")

    generate_vmap_rule: ClassVar[bool] = (
        False  # set or not, vmap works: the forward is called with all examples at once
    )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """The rule for batches, where the forward has no use for ``vmap``'s tensors: returns the results and their out_dims.

        *info* has ``batch_size`` and ``randomness``, *in_dims* for each of *args* the dimension of the examples, or None.
        """
        raise NotImplementedError("vmap is not overridden for this autograd.Function: its forward is called instead.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated. Methods on autograd functions are all static, so call "
            f"{type(self).__name__}.apply(...) on the class itself."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call the operation on *args*; Tensors among them are its differentiable inputs."""
        if mode.vmaps and are_mapped(args):
            return apply_mapped(cls, cls._apply, args, cls.vmap is not Function.vmap)
        return cls._apply(*args)

    @classmethod
    def _apply(cls, *args: Any) -> Any:
        if cls._node_type is None:
            cls._node_type = type(cls.__name__ + "Backward", (FunctionNode,), {"_function": cls, "__slots__": ()})
        node = cls._node_type()
        edges = tuple(edge_of(a) for a in args)
        recording = mode.enabled and any(edge is not None for edge in edges)
        node.needs_input_grad = tuple(edge is not None for edge in edges)
        result = cls._run_forward(node, args)
        outputs = result if isinstance(result, tuple) else (result,)
        if recording:
            levels = levels_of([[x._array for x in part if isinstance(x, Tensor)] for part in (args, outputs)])
            node.edges = tuple(collapsed(args, edges, levels)) if levels else edges
            node.seq = tick()
            node.code, node.lasti = caller()
            node._inputs = [
                None if e is None else (a._array.shape, a._array.dtype) for a, e in zip(args, edges, strict=True)
            ]
            node._outputs = [kind_of(o) for o in outputs]
        made = tuple(output_of(node, o, i, args, recording) for i, o in enumerate(outputs))
        if recording:
            forget_own_outputs(node, outputs, made)
            if mode.packing:
                node.pack()
        for observer in mode.observers:
            observer(None, args, {}, made)
        return made if isinstance(result, tuple) else made[0]

    @classmethod
    def _run_forward(cls, node: FunctionNode, args: tuple[Any, ...]) -> Any:
        before, mode.enabled = mode.enabled, False
        try:
            if cls.setup_context is Function.setup_context:
                return cls.forward(node, *args)
            result = cls.forward(*args)
            cls.setup_context(node, args, result)
            return result
        finally:
            mode.enabled = before


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a backward that computes outside of allgrad: differentiating it again raises RuntimeError."""

    def wrapped(ctx: Any, *grads: Any) -> Any:
        recording, mode.enabled = mode.enabled, False
        try:
            results = function(ctx, *grads)
        finally:
            mode.enabled = recording
        if not recording:
            return results
        several = isinstance(results, tuple)
        return _DifferentiatedTwice.apply(*(results if several else (results,)), *grads) if several else \
            _DifferentiatedTwice.apply(results, *grads)[0]  # fmt: skip

    return wrapped


class _DifferentiatedTwice(Function):
    """Passes gradients on, and raises when it is differentiated itself."""

    @staticmethod
    def forward(ctx: Any, *values: Any) -> Any:
        return tuple(Tensor._wrap(v._array) if isinstance(v, Tensor) else v for v in values)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


class _Pulled(Function):
    """The transposed derivative of a custom Function that states its ``jvp``, at zero: which is all that forward mode asks."""

    @staticmethod
    def forward(ctx: Any, node: FunctionNode, places: list[int], *grads: Tensor) -> Any:
        ctx.node, ctx.places = node, places
        shapes = [node._inputs[place] for place in places]
        return tuple(Tensor._wrap(np.zeros(shape, dtype=dtype)) for shape, dtype in shapes)

    @staticmethod
    def backward(ctx: Any, *tangents: Any) -> Any:
        everything: list[Any] = [None] * len(ctx.node.edges)
        for place, tangent in zip(ctx.places, tangents, strict=True):
            everything[place] = tangent
        found = ctx.node._function.jvp(ctx.node, *everything)
        return None, None, *(found if isinstance(found, tuple) else (found,))


FunctionCtx = FunctionNode  # PyTorch's name, for annotations
