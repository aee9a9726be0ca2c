"""The Tensor: a NumPy array, the node that made it, and its gradient. Operations add their methods themselves."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import dtypes
from ..tape.nodes import AccumulateGrad, Handle, Node, Output, hooks_of
from ..tape.version import Version
from .conversions import Conversions
from .copies import copied

if TYPE_CHECKING:
    from .view import View

Array = np.ndarray[Any, Any]


class Tensor(Conversions):
    """An n-dimensional array that can record the operations on it, and so be differentiated.

    ``Tensor(data)`` makes one of the default floating type from nested lists, ``Tensor(2, 3)`` an uninitialised one
    of that size; ``allgrad.tensor`` infers the type and is what most code wants. The memory is a NumPy array that
    ``numpy()``, ``from_numpy`` and ``detach`` share without copying.
    """

    __slots__ = ("__dict__", "__weakref__", "_array", "_counter", "_grad", "_node", "_view")

    _array: Array
    _node: Node | None  # what made it; an AccumulateGrad for a leaf that requires grad; None where it does not
    _grad: Tensor | None
    _counter: Version | None
    _view: View | None

    __array_priority__ = 1000

    def __init__(self, *data: Any) -> None:
        default = dtypes.get_default_dtype().numpy
        if len(data) == 1 and isinstance(data[0], Tensor):
            self._array = data[0]._array
        elif len(data) == 1 and not isinstance(data[0], int):
            self._array = np.array(data[0], dtype=default)
        else:
            self._array = np.empty(data or (0,), dtype=default)
        self._node = self._grad = self._counter = self._view = None

    @staticmethod
    def _plain(array: Array) -> Tensor:
        """A Tensor over *array*, whatever subclass this one is of."""
        return Tensor._wrap(array)

    @classmethod
    def _wrap(cls, array: Array, node: Node | None = None) -> Self:
        """A tensor over *array*, not copied; made by *node*."""
        made = object.__new__(cls)
        made._array = array
        made._node = node
        made._grad = made._counter = made._view = None
        return made

    def __repr__(self) -> str:
        from .printing import format_tensor

        return format_tensor(self)

    def __len__(self) -> int:
        if not self._array.ndim:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        if not self._array.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))

    def __reversed__(self) -> Any:
        return self.flip(0) if self._array.ndim else self

    def __hash__(self) -> int:
        return id(self)

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded."""
        return self.grad_fn is not None or self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let operations on this leaf be recorded from now on, or no longer; in place.

        RuntimeError if it is not a leaf, or its dtype is not floating or complex.
        """
        if not self.is_leaf:
            if requires_grad:
                return self
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
                "a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if not requires_grad:
            self._node = None
        elif self._node is None:
            if self._array.dtype.kind not in "fc":
                raise RuntimeError(
                    f"only Tensors of floating point and complex dtype can require gradients, found {self.dtype}: "
                    "convert it first, for instance with .float()"
                )
            self._node = AccumulateGrad(self)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user, not by a recorded operation."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The node that recorded how it was made; None for a leaf."""
        if self._view is not None:
            self._view.refresh(self)
        node = self._node
        if type(node) is Output:
            return node.parent
        return None if node is None or type(node) is AccumulateGrad else node

    @property
    def output_nr(self) -> int:
        """Which of its node's outputs it is."""
        return self._node.index if type(self._node) is Output else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient gathered by ``backward``, or None."""
        if self._grad is None and not self.is_leaf and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't "
                "be populated during autograd.backward(). If you indeed want the .grad field to be populated for a "
                "non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                UserWarning,
                stacklevel=2,
            )
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value._array.shape != self._array.shape:
                raise RuntimeError(
                    f"assigned grad has data of a different size: expected {list(self.shape)}, found {list(value.shape)}"
                )
            if value._array.dtype != self._array.dtype:
                raise RuntimeError(
                    f"assigned grad has data of a different type: expected {self.dtype}, found {value.dtype}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def retains_grad(self) -> bool:
        """Whether ``retain_grad`` was called on this non-leaf."""
        node = self._node
        return node is not None and node.hooks is not None and node.hooks.retain is not None

    def retain_grad(self) -> None:
        """Keep the gradient of this non-leaf in ``.grad`` when ``backward`` passes it; nothing to do for a leaf.

        RuntimeError if it does not require grad.
        """
        node = self._recorded_node("can't retain_grad on Tensor that has requires_grad=False")
        if type(node) is AccumulateGrad or self.retains_grad:
            return
        hooks_of(node).retain = _Retained(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call ``hook(grad)`` whenever the gradient of this tensor is computed; a returned Tensor replaces it.

        RuntimeError if it does not require grad.
        """
        node = self._recorded_node("cannot register a hook on a tensor that doesn't require gradient")
        return Handle(hooks_of(node).on_tensor, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> Handle:
        """Call ``hook(tensor)`` each time ``.grad`` of this leaf has been brought up to date by ``backward``."""
        node = self._node
        if type(node) is not AccumulateGrad:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if node.post_hooks is None:
            node.post_hooks = {}
        return Handle(node.post_hooks, hook)

    def _recorded_node(self, complaint: str) -> Node:
        if self._view is not None:
            self._view.refresh(self)
        if self._node is None:
            raise RuntimeError(complaint)
        return self._node

    def _counter_or_new(self) -> Version:
        """The version this tensor shares with its aliases, made (and told to its node) on first use."""
        if self._counter is None:
            self._counter = Version()
            if self._node is not None and self._node.saves_output:
                self._node.version = self._counter
        return self._counter

    def detach(self) -> Tensor:
        """A tensor over the same memory that is cut off from the graph: a leaf that does not require grad."""
        alias = Tensor._wrap(self._array)
        alias._counter = self._counter_or_new()
        return alias

    def detach_(self) -> Self:
        """Cut this tensor off from the graph that made it, in place; it becomes a leaf. RuntimeError for a view."""
        if self._view is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead")
        self._node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory without history; in-place changes through it are not noticed by autograd."""
        return Tensor._wrap(self._array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if self.requires_grad and value._array.dtype.kind not in "fc":
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex dtype, "
                f"found {value.dtype}"
            )
        self._array = value._array

    @property
    def _version(self) -> int:
        """How often the memory was changed in place."""
        return 0 if self._counter is None else self._counter.changes

    def is_inference(self) -> bool:
        """False: a tensor made inside ``inference_mode`` is like any other here."""
        return False

    @property
    def _base(self) -> Tensor | None:
        return None if self._view is None else self._view.base

    def _is_view(self) -> bool:
        return self._view is not None

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment. "
                "Take a .detach().clone() of this one instead."
            )
        if id(self) in memo:
            found: Self = memo[id(self)]
            return found
        twin = type(self)._wrap(copied(self._array, memo))
        memo[id(self)] = twin
        if self._node is not None:
            twin.requires_grad_()
        if self._grad is not None:
            twin._grad = self._grad.__deepcopy__(memo)
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _unpickled, (type(self), self._array, self.requires_grad, self.__dict__ or None)

    if TYPE_CHECKING:  # the methods that the registered operations add

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: object) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...


class _Retained:
    """What ``retain_grad`` hangs on a node: keeps the gradient for *tensor*, which it does not keep alive."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, g: Tensor) -> None:
        kept = self.tensor()
        if kept is not None:
            fresh = g if g._node is not None else Tensor._wrap(g._array.copy())
            kept._grad = fresh if kept._grad is None else kept._grad + fresh


def _unpickled(kind: type[Tensor], array: Array, requires_grad: bool, state: dict[str, Any] | None) -> Tensor:
    made = kind._wrap(array)
    if requires_grad:
        made.requires_grad_()
    if state:
        made.__dict__.update(state)
    return made


def add_method(name: str, function: Any) -> None:
    """Give every Tensor the method (or property) *name*: how the floors above the tensor bring in theirs."""
    setattr(Tensor, name, function)
