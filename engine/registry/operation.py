"""The registry: an operation's name, forward on arrays, derivative rules, documentation and samples, in one place."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, Literal, TypeVar, overload

import numpy as np

from ..tensors.tensor import add_method
from .samples import Samples

# What a parameter of a forward is, said by its annotation: an operand (an array; promoted with the others), an index
# or mask (an array of another kind, left as it is), several operands in a list, or, with any other annotation, an
# attribute.
Array = np.ndarray[Any, Any]
Index = np.ndarray[Any, Any]
Arrays = Sequence[np.ndarray[Any, Any]]

_OPERAND_KINDS = {"Array": "operand", "Index": "index", "Arrays": "several"}

F = TypeVar("F", bound=Callable[..., Any])


class Promotion(enum.Enum):
    """What happens to the types of the operands before the forward."""

    NONE = "they stay as they are"
    ARITHMETIC = "they are promoted to a common type, which the result has"
    ALIKE = "they must be of one type, which the result has"
    FLOATING = "as ARITHMETIC, and integers become the default floating type"
    COMPARISON = "they are promoted to a common type; the result has its own"


class Rule:
    """The derivative with respect to one operand: a function of ``g`` and of what its parameter names say is saved.

    ``y`` is the result (``y0``, ``y1`` … of several), an operand's name its value, that name with ``_shape`` its
    shape only, and an attribute's name the attribute. A rule with a keyword ``into`` writes the derivative there where that
    is an array, which then is of g's type: so the gradient of a parameter arises where it is to stay.
    """

    __slots__ = ("function", "saved", "takes_into")

    def __init__(self, function: Callable[..., Any]) -> None:
        assert isinstance(function, FunctionType)
        code = function.__code__
        self.function = function
        self.saved = code.co_varnames[1 : code.co_argcount]
        self.takes_into = code.co_kwonlyargcount == 1 and code.co_varnames[code.co_argcount] == "into"


class Operation:
    """Everything that is known of one operation; ``call`` is the function that users and other operations call."""

    def __init__(
        self, forward: Callable[..., Any], rules: Sequence[Callable[..., Any] | None], namespace: str = ""
    ) -> None:
        assert isinstance(forward, FunctionType)
        code = forward.__code__
        self.identifier = forward.__name__.rstrip("_") if forward.__name__ not in ("bool_",) else "bool"
        self.namespace = namespace
        self.name = f"{namespace}.{self.identifier}" if namespace else self.identifier
        self.doc = forward.__doc__ or ""
        self.declared = forward
        self.parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.positional = code.co_argcount
        kinds = {p: _kind(forward.__annotations__.get(p, "")) for p in self.parameters}
        self.operands = tuple(p for p, kind in kinds.items() if kind != "attribute")
        self.several = frozenset(p for p, kind in kinds.items() if kind == "several")
        self.indexes = frozenset(p for p, kind in kinds.items() if kind == "index")
        self.optional = frozenset(p for p in self.operands if "None" in str(forward.__annotations__.get(p)))
        padded = list(rules) + [None] * (len(self.operands) - len(rules))
        self.rules = tuple(None if rule is None else Rule(rule) for rule in padded)
        self.forward: Callable[..., Any] = forward
        self.promotion = Promotion.NONE
        self.broadcasts = False
        self.is_view = False
        self.outputs: Callable[..., Any] | None = None  # makes the result of several arrays, e.g. a named tuple
        self.samples: Samples | None = None
        self.node_name: str | Callable[[Any], str] = _camel(self.name) + "Backward0"
        self.aliases: tuple[str, ...] = ()
        self.public = True
        self.adding: Callable[..., None] | None = None  # adds the first operand's gradient to an array
        self.batching: Callable[..., Any] | None = None  # the forward where batches of vmap are among the arrays
        self.crosses_levels = False  # a batch of vmap is made, so that the operand lacks a level that the result has
        self.refuses = ""
        self.takes_out = False
        self.called = ""  # what users know it as, where only other operations call it
        self.call: Callable[..., Any] = forward
        self.operator: Callable[..., Any] | None = None  # the same as a Python operator
        self.node_type: type[Any] | None = None
        self.batched_node_type: type[Any] | None = None

    @property
    def converts(self) -> bool:
        """Whether an argument can make the result another type, one without gradients perhaps."""
        return any("dtype" in str(self.declared.__annotations__.get(p)) for p in self.parameters)

    @property
    def differentiable(self) -> bool:
        """Whether any operand has a rule."""
        return any(self.rules)

    @property
    def shown_name(self) -> str:
        """The name that an error message gives it: PyTorch's, taken from its node where only operators call it."""
        if self.called or self.public or not isinstance(self.node_name, str):
            return self.called or self.name
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"Backward\w?$", "", self.node_name)).lower()

    def saved_names(self) -> tuple[str, ...]:
        """What the rules name, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules if rule for name in rule.saved))

    def method_names(self) -> tuple[str, ...]:
        """What it is called as a Tensor method: of an operation in a namespace, only its aliases."""
        return self.aliases if self.namespace else (self.name, *self.aliases)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


def _kind(annotation: Any) -> str:
    return _OPERAND_KINDS.get(str(annotation).split(" |")[0].rsplit(".", 1)[-1], "attribute")


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))


OPERATIONS: dict[str, Operation] = {}


def operation(
    *rules: Callable[..., Any] | None,
    ufunc: Callable[..., Any] | None = None,
    promotion: Promotion = Promotion.NONE,
    broadcasts: bool = False,
    view: bool = False,
    outputs: Callable[..., Any] | None = None,
    samples: Samples | None = None,
    node_name: str | Callable[[Any], str] = "",
    aliases: Sequence[str] = (),
    dunder: str = "",
    reflected: str = "",
    inplace: bool = False,
    method: bool = True,
    public: bool = True,
    refuses: str = "",
    called: str = "",
    namespace: str = "",
    adding: Callable[..., None] | None = None,
    batching: Callable[..., Any] | None = None,
    crosses_levels: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function, a forward from arrays to an array (or a tuple of them), as an operation.

    *rules* are the derivatives, one per operand in order (None: no gradient). *ufunc* is called instead of the
    body where the forward is just that. *promotion* and *broadcasts* say what is done for the rules at the edges:
    cast operands, and sum gradients back to the shapes of the operands. *view*: the result may share the first
    operand's memory. *outputs* wraps the tuple of several results. *aliases* are further public names; *dunder* and
    *reflected* Python's operators; *inplace* adds the variant with a trailing underscore. *method*: it is also
    a Tensor method. *public*: it is a name of ``allgrad`` or, if not, only other operations use it. *refuses*:
    the kinds of operands that raise, "b" for bool and "c" for complex. *called*: the name for it in messages.
    *node_name* is what its nodes are called, or a function of the node. *adding* takes an array before what the first
    rule takes, and adds that gradient to it: for an operand much larger than the result, of which many parts are taken.
    *batching* makes of the forward one for batches, where its body cannot run on a batch at once (see ``batching.rules``).
    *namespace*: it is a name of that module (``linalg.norm``), and of ``allgrad`` and Tensor only by its *aliases*.
    """

    def register(forward: Callable[..., Any]) -> Callable[..., Any]:
        from .generate import operator, wrapper

        op = Operation(forward, rules, namespace)
        op.forward = ufunc or forward
        op.promotion, op.broadcasts, op.is_view = promotion, broadcasts, view
        op.outputs, op.samples, op.aliases, op.public = outputs, samples, tuple(aliases), public
        op.refuses, op.called, op.adding = refuses, called, adding
        op.batching, op.crosses_levels = batching and batching(op.forward), crosses_levels
        op.node_name = node_name or op.node_name
        op.takes_out = not view
        op.call = wrapper(op)
        _add(op)
        _add_methods(op.method_names() if method and public else (), op.call)
        if dunder:
            op.operator = operator(op)
            _add_methods((dunder, reflected), op.operator)
        if inplace:
            _add_inplace(op, dunder)
        return op.call

    return register


@overload
def composite(
    *,
    out: Literal[True],
    samples: Samples | None = None,
    aliases: Sequence[str] = (),
    inplace: bool = False,
    method: bool = True,
    dunder: str = "",
    namespace: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...


@overload
def composite(
    *,
    samples: Samples | None = None,
    aliases: Sequence[str] = (),
    dunder: str = "",
    reflected: str = "",
    inplace: bool = False,
    method: bool = True,
    namespace: str = "",
    by_example: bool = False,
) -> Callable[[F], F]: ...


def composite(
    *,
    samples: Samples | None = None,
    aliases: Sequence[str] = (),
    dunder: str = "",
    reflected: str = "",
    inplace: bool = False,
    method: bool = True,
    namespace: str = "",
    out: bool = False,
    by_example: bool = False,
) -> Any:
    """Register a function of Tensors that is made of other operations, and so needs no rule of its own.

    *out*: as a function, not as a method, it takes ``out=`` too. *by_example*: it decides by the values of its arguments,
    so that inside ``vmap`` it is called for each example.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        from .generate import with_out

        op = Operation(function, (), namespace)
        if by_example:
            from .batches import example_by_example

            function = example_by_example(function)
        op.call, op.samples, op.aliases, op.takes_out = function, samples, tuple(aliases), out
        _add(op)
        _add_methods((*(op.method_names() if method else ()), dunder, reflected), function)
        if inplace:
            _add_inplace(op, dunder)
        if not out:
            return function
        op.call = with_out(op)
        return op.call

    return register


def _add(op: Operation) -> None:
    assert op.name not in OPERATIONS, f"operation {op.name} is registered twice"
    OPERATIONS[op.name] = op


def _add_methods(names: Sequence[str], function: Callable[..., Any]) -> None:
    for name in names:
        if name:
            add_method(name, function)


def _add_inplace(op: Operation, dunder: str) -> None:
    from .inplace import variant

    function = variant(op)
    if op.public:
        for name in op.method_names():
            add_method(name + "_", function)
    if dunder:
        add_method("__i" + dunder[2:], function)
