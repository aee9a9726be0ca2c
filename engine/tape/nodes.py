"""The nodes of a recorded graph, and what may be hooked into a backward pass."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..batching import Batched
from .mode import users_code
from .provenance import Place, caller
from .version import Version, tick

if TYPE_CHECKING:
    from ..tensors.tensor import Tensor

Array = np.ndarray[Any, Any]
Edges = tuple["Node | None", ...]


class _Released:
    """Stands where a saved value was, once a backward pass has freed it."""

    def __repr__(self) -> str:
        return "<released>"


RELEASED: Any = _Released()


class Gradients(dict["Node", Any]):
    """The gradients on their way in one backward pass, by the node that they will reach.

    *shared* holds the nodes whose array is not theirs alone (another node or the user has it too), *summed* those
    whose array was made here by a sum and may be added to in place.
    """

    __slots__ = ("shared", "summed")

    def __init__(self) -> None:
        super().__init__()
        self.shared: set[Node] = set()
        self.summed: set[Node] = set()

    def deliver(self, node: Node, g: Any) -> None:
        """Add *g* to what *node* will receive."""
        if node not in self:
            self[node] = g
        elif type(g) is np.ndarray and (held := self.owned(node)) is not None and _alike(held, g):
            held += g
        else:
            self[node] = self[node] + g
            if type(self[node]) is np.ndarray:
                self.summed.add(node)
            self.shared.discard(node)

    def owned(self, node: Node) -> Array | None:
        """The gradient that *node* has so far, if it is an array that may be added to in place."""
        held = self.get(node)
        if type(held) is not np.ndarray:
            return None
        if node in self.summed:
            return held
        return held if node not in self.shared and held.base is None and held.flags.writeable else None


def _alike(a: Array, b: Array) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype)


def conjugated(g: Any) -> Any:
    """*g* turned from the convention inside a backward pass to PyTorch's, or back; a real gradient is both.

    Rules keep complex gradients so that dL = Re(g · dz), as for real ones; PyTorch's are the conjugates of these. What a
    user sees or gives (``.grad``, hooks, ``grad``, a custom Function) is PyTorch's.
    """
    if isinstance(g, (np.ndarray, np.generic, Batched)):
        return np.conjugate(g) if g.dtype.kind == "c" else g
    return g if g is None or g._array.dtype.kind != "c" else np.conjugate(g)


class Hooks:
    """The callbacks hung on one node.

    In the order in which they are called: *on_tensor* see (and replace) the gradient of the node's output, *retain* keeps
    it, *before* are the node's own pre-hooks, and *after* see the gradients that it computed. *packed*: what the node saved
    went through the hooks of ``saved_tensors_hooks``.
    """

    __slots__ = ("after", "before", "on_tensor", "packed", "retain")

    def __init__(self) -> None:
        self.on_tensor: dict[int, Callable[..., Any]] = {}
        self.before: dict[int, Callable[..., Any]] = {}
        self.after: dict[int, Callable[..., Any]] = {}
        self.retain: Callable[[Any], None] | None = None
        self.packed = False


class Handle:
    """What a hook's registration returns: ``remove()`` takes the hook away; also a context manager."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._key = max(hooks, default=-1) + 1
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Node:
    """One recorded operation: where its gradients go, and what it needs to compute them.

    A subclass states ``gradients`` (rules on raw arrays) and ``recorded_gradients`` (the same on Tensors, under
    ``create_graph``); operations get a generated, faster ``step`` besides.
    """

    __slots__ = ("__weakref__", "code", "edges", "hooks", "lasti", "seq", "version")

    edges: Edges  # per input: the node that made it, or None where no gradient is needed
    seq: int  # the tick at which it was recorded: a later operation has a greater one
    code: CodeType | None  # with lasti, the user's line (provenance)
    lasti: int
    hooks: Hooks | None
    version: Version | None  # of the output, once it is aliased or changed, where a rule saves the output

    saves_output = False
    returns_fresh = True  # a gradient other than the incoming one is an array that nothing else refers to

    def name(self) -> str:
        """The name PyTorch gives this kind of node, such as ``MulBackward0``."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """Per input, the node its gradient goes to and which of that node's outputs the input was."""
        return tuple((None, 0) if e is None else (e.parent, e.index) if isinstance(e, Output) else (e, 0)
                     for e in self.edges)  # fmt: skip

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dict for whatever the user wants to keep with this node."""
        return _metadata.setdefault(self, {})

    @property
    def place(self) -> Place | None:
        """The line of the user's program that recorded this node."""
        return None if self.code is None else Place(self.code, self.lasti)

    def step(self, g: Any, grads: Gradients) -> None:
        """Run the rules on arrays, deliver the results and free what was saved."""
        for edge, gradient in zip(self.edges, self.gradients(g, self.edges), strict=True):
            if edge is not None and gradient is not None:
                if gradient is g or not self.returns_fresh:
                    grads.shared.add(edge)
                grads.deliver(edge, gradient)
        self.release()

    def gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        """The gradient for each input whose place in *wanted* is not None, from arrays to arrays."""
        raise NotImplementedError

    def recorded_gradients(self, g: Any, wanted: Sequence[object]) -> Sequence[Any]:
        """Like ``gradients``, from Tensors to Tensors, recorded so that they can be differentiated again."""
        raise NotImplementedError

    def release(self) -> None:
        """Free the saved values."""

    def register_hook(self, hook: Callable[[Any, Any], Any]) -> Handle:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node has run; what it returns replaces grad_inputs."""
        return Handle(hooks_of(self).after, hook)

    def register_prehook(self, hook: Callable[[Any], Any]) -> Handle:
        """Call ``hook(grad_outputs)`` before this node runs; what it returns replaces grad_outputs."""
        return Handle(hooks_of(self).before, hook)


_metadata: weakref.WeakKeyDictionary[Node, dict[Any, Any]] = weakref.WeakKeyDictionary()


def hooks_of(node: Node) -> Hooks:
    """The hooks of *node*, made on first use."""
    if node.hooks is None:
        node.hooks = Hooks()
    return node.hooks


class Output(Node):
    """One output of a node that has several: gathers its gradient into the list its parent will receive."""

    __slots__ = ("count", "index", "parent")

    def __init__(self, parent: Node, index: int, count: int) -> None:
        self.parent, self.index, self.count = parent, index, count
        self.edges = (parent,)
        self.seq = tick()  # later than its parent, so that every output has arrived before that runs
        self.code, self.lasti = parent.code, parent.lasti
        self.hooks = self.version = None

    def name(self) -> str:
        return self.parent.name()

    def step(self, g: Any, grads: Gradients) -> None:
        gathered = grads.get(self.parent)
        if gathered is None:
            gathered = grads[self.parent] = [None] * self.count
        mine = gathered[self.index]
        gathered[self.index] = g if mine is None else mine + g


_accumulating = threading.Lock()

_INSIDE_VMAP = (
    "backward() called inside a functorch transform (vmap): each example has a gradient of its own, for which .grad has no "
    "room. Use torch.func.grad or torch.func.vjp inside, or call backward() outside of the transform"
)


class AccumulateGrad(Node):
    """The end of the line: adds the gradient of a leaf to its ``.grad``.

    It holds its leaf weakly (the leaf holds it), so that neither keeps the other alive.
    """

    __slots__ = ("computed_in_place", "destination", "leaf", "post_hooks")

    def __init__(self, leaf: Tensor) -> None:
        self.leaf = weakref.ref(leaf)
        self.edges = ()
        self.seq = -1
        self.code, self.lasti = None, 0
        self.hooks = self.version = None
        self.post_hooks: dict[int, Callable[..., Any]] | None = None
        self.destination: Array | None = None
        self.computed_in_place = 0  # the latest pass that was given `room`

    @property
    def variable(self) -> Tensor | None:
        """The leaf whose gradient gathers here."""
        return self.leaf()

    def room(self, g: Array, grads: Gradients) -> Array | None:
        """The destination, if the first gradient of the leaf, of *g*'s type, may be computed there; else None."""
        room = self.destination
        # A hook might keep what it is shown.
        if room is None or self in grads or self.hooks is not None or g.dtype != room.dtype or self._is_taken():
            return None
        leaf = self.leaf()
        if leaf is None or leaf._grad is not None:
            return None
        self.computed_in_place = callbacks.passes[-1].number
        return room

    def _is_taken(self) -> bool:
        """Whether a pass around this one may have computed a gradient in the destination, which has not arrived yet."""
        around = callbacks.passes[:-1]
        return bool(around) and any(each.number == self.computed_in_place for each in around)

    def step(self, g: Any, grads: Gradients) -> None:
        leaf = self.leaf()
        if leaf is None:
            return
        with _accumulating:
            if isinstance(g, (np.ndarray, np.generic)):
                destination = None if self.destination is None or self._is_taken() else self.destination
                _accumulate(leaf, g, destination, owned=self not in grads.shared)
            elif isinstance(g, Batched):
                raise RuntimeError(_INSIDE_VMAP)
            else:
                g = conjugated(g)
                leaf._grad = g.clone() if leaf._grad is None else leaf._grad + g
        if self.post_hooks:
            with users_code():
                for hook in tuple(self.post_hooks.values()):
                    hook(leaf)


def _accumulate(leaf: Tensor, g: Any, destination: Array | None, *, owned: bool) -> None:
    """Add *g* to ``leaf.grad``: in place where that cannot disturb a graph, into *destination* where there is one."""
    before, dtype = leaf._grad, leaf._array.dtype
    if g.dtype.kind == "c":
        g, owned = np.conjugate(g), True
    if g.dtype != dtype:
        g, owned = g.astype(dtype), True
    if before is not None and before._node is None and before._array.flags.writeable:
        before._array += g
        before._counter_or_new().bump(caller())
    elif before is not None:
        leaf._grad = leaf._plain(before._array + g)
    elif destination is not None:
        if g is not destination:
            destination[...] = g
        leaf._grad = leaf._plain(destination)
    elif owned and type(g) is np.ndarray and g.base is None and g.flags.writeable:
        leaf._grad = leaf._plain(g)
    else:
        leaf._grad = leaf._plain(np.array(g, dtype=dtype))


class RunningPass:
    """A backward pass while it runs: its number, the nodes that it will run, and whether only *chosen* inputs count."""

    __slots__ = ("_nodes", "_planned", "chosen", "number")

    def __init__(self, planned: Collection[Node], chosen: bool) -> None:
        self.chosen = chosen
        self.number = tick()
        self._planned = planned
        self._nodes: frozenset[Node] | None = None

    def will_run(self, node: Node) -> bool:
        """Whether the pass runs *node*, or has run it."""
        if self._nodes is None:
            self._nodes = frozenset(self._planned)
        return node in self._nodes


class _PassCallbacks(threading.local):
    """What this thread wants to be told during a backward pass."""

    def __init__(self) -> None:
        self.between: dict[int, Callable[..., Any]] = {}
        self.at_end: list[Callable[[], None]] = []
        self.passes: list[RunningPass] = []  # that run now, the innermost last
        self.freed_at: Place | None = None  # where the last pass that freed its graph was asked for


callbacks = _PassCallbacks()


def add_between_operations(callback: Callable[[], None]) -> Handle:
    """Call *callback* between the nodes of every backward pass of this thread, until the handle is removed."""
    return Handle(callbacks.between, callback)


def queue_callback(callback: Callable[[], None]) -> None:
    """Call *callback* once, at the end of the backward pass that runs now.

    RuntimeError outside of a backward pass.
    """
    if not callbacks.passes:
        raise RuntimeError("queue_callback was called outside of a backward pass: call it from a gradient hook")
    callbacks.at_end.append(callback)


def set_gradient_destination(leaf: Tensor, array: Array | None) -> None:
    """Let the gradient of *leaf* be written into *array*: ``leaf.grad`` is then a Tensor over it.

    *array* has the leaf's shape and dtype, and may be a view of a larger buffer; None takes the destination away.
    A gradient that is there already is moved into *array*. Some operations, such as linear, compute gradients there at
    once; so let one thread at a time run backward passes through *leaf*. ValueError if *leaf* is no leaf that requires grad, or
    *array* does not fit.
    """
    node = leaf._node
    if not isinstance(node, AccumulateGrad):
        raise ValueError("a gradient destination was set for a tensor that is not a leaf requiring grad")
    if array is not None and (array.shape != leaf._array.shape or array.dtype != leaf._array.dtype):
        raise ValueError(
            f"the destination {array.dtype}{array.shape} does not fit the leaf {leaf._array.dtype}{leaf._array.shape}"
        )
    node.destination = array
    if array is not None and leaf._grad is not None:
        array[...] = leaf._grad._array
        leaf._grad = leaf._plain(array)
