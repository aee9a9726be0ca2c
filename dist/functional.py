"""Collective operations that return new Tensors, and through which gradients flow between the ranks.

Every rank calls them in the same order, and all or none of the ranks go backward through them: a backward pass is a
collective operation too. The gradient of a rank's input is that of the sum of all ranks' losses, as in
torch.distributed.nn.functional, whose place this module takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import allgrad
from allgrad import Tensor
from allgrad.autograd import Function

from .communication import collectives, exchange
from .communication.buffers import memory_of
from .communication.reduction import ReduceOp, reduction
from .world import Group, current

__all__ = ["all_gather", "all_reduce", "all_to_all", "broadcast", "gather", "reduce", "reduce_scatter", "scatter"]


def all_reduce(tensor: Tensor, op: ReduceOp | str = ReduceOp.SUM, group: Group | None = None) -> Tensor:
    """Return the reduction of all ranks' *tensor*, element by element, on every rank.

    *op* as for `allgrad.dist.all_reduce`; with "min" and "max" equal values share the gradient. NotImplementedError
    for "product" of a *tensor* that requires grad.

    >>> import allgrad as torch
    >>> from allgrad import dist
    >>> x = torch.ones(2, requires_grad=True)
    >>> dist.functional.all_reduce(x, "mean").sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """
    chosen = reduction(op, memory_of(tensor, "all_reduce", changes=False), "all_reduce")
    if chosen is ReduceOp.PRODUCT and tensor.requires_grad and allgrad.is_grad_enabled():
        raise NotImplementedError(
            "all_reduce: the product has no gradient here: all_gather the factors and multiply them"
        )
    result: Tensor = _AllReduce.apply(tensor, chosen, group)
    return result


def reduce(tensor: Tensor, dst: int = 0, op: ReduceOp | str = ReduceOp.SUM, group: Group | None = None) -> Tensor:
    """Return the sum (or mean, by *op*) of all ranks' *tensor* on rank *dst*, and zeros on the others."""
    chosen = reduction(op, memory_of(tensor, "reduce", changes=False), "reduce")
    if chosen not in (ReduceOp.SUM, ReduceOp.AVG):
        raise NotImplementedError(f"reduce: {chosen} has no gradient here: use all_reduce, or dist.reduce without one")
    result: Tensor = _Reduce.apply(tensor, dst, chosen, group)
    return result


def broadcast(tensor: Tensor, src: int = 0, group: Group | None = None) -> Tensor:
    """Return rank *src*'s *tensor* on every rank; its gradient is the sum of theirs, that of the others zero."""
    result: Tensor = _Broadcast.apply(tensor, src, group)
    return result


def all_gather(tensor: Tensor, group: Group | None = None) -> tuple[Tensor, ...]:
    """Return every rank's *tensor*, in order of rank, on every rank."""
    return tuple(_AllGather.apply(tensor, group).unbind(0))


def gather(tensor: Tensor, dst: int = 0, group: Group | None = None) -> tuple[Tensor, ...]:
    """Return every rank's *tensor*, in order of rank, on rank *dst*, and zeros on the others."""
    return tuple(_Gather.apply(tensor, dst, group).unbind(0))


def scatter(tensors: Sequence[Tensor], src: int = 0, group: Group | None = None) -> Tensor:
    """Return the entry of rank *src*'s *tensors* that is this rank's; every rank gives as many, of one shape."""
    result: Tensor = _Scatter.apply(allgrad.stack(tuple(tensors)), src, group)
    return result


def reduce_scatter(
    input_list: Sequence[Tensor], op: ReduceOp | str = ReduceOp.SUM, group: Group | None = None
) -> Tensor:
    """Return the sum (or mean, by *op*) over all ranks of the entry of their *input_list* that is this rank's."""
    stacked = allgrad.stack(tuple(input_list))
    chosen = reduction(op, memory_of(stacked, "reduce_scatter", changes=False), "reduce_scatter")
    if chosen not in (ReduceOp.SUM, ReduceOp.AVG):
        raise NotImplementedError(f"reduce_scatter: {chosen} has no gradient here: use dist.reduce_scatter without one")
    result: Tensor = _ReduceScatter.apply(stacked, chosen, group)
    return result


def all_to_all(input_list: Sequence[Tensor], group: Group | None = None) -> tuple[Tensor, ...]:
    """Return what each rank sends this one, where rank i sends rank k the k-th of its *input_list*, all alike."""
    return tuple(_AllToAll.apply(allgrad.stack(tuple(input_list)), group).unbind(0))


class _AllReduce(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, op: ReduceOp, group: Group | None) -> Tensor:
        result: Tensor = tensor.clone()
        collectives.all_reduce(result, op, group)
        ctx.op, ctx.group = op, group
        if op in (ReduceOp.MIN, ReduceOp.MAX):
            ctx.save_for_backward(tensor, result)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.op not in (ReduceOp.MIN, ReduceOp.MAX):
            return all_reduce(g, ctx.op, ctx.group), None, None
        tensor, result = ctx.saved_tensors
        chosen = (tensor == result).to(g.dtype)
        holders = chosen.clone()
        collectives.all_reduce(holders, ReduceOp.SUM, ctx.group)
        return chosen / holders * all_reduce(g, ReduceOp.SUM, ctx.group), None, None


class _Reduce(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dst: int, op: ReduceOp, group: Group | None) -> Tensor:
        result: Tensor = tensor.clone()
        collectives.reduce(result, dst, op, group)
        ctx.dst, ctx.op, ctx.group = dst, op, group
        kept: Tensor = result if current().rank == dst else allgrad.zeros_like(result)
        return kept

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        share = 1 / (ctx.group or current()).size if ctx.op is ReduceOp.AVG else 1
        return broadcast(g * share, ctx.dst, ctx.group), None, None, None


class _Broadcast(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, src: int, group: Group | None) -> Tensor:
        result: Tensor = tensor.clone()
        collectives.broadcast(result, src, group)
        ctx.src, ctx.group = src, group
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return reduce(g, ctx.src, ReduceOp.SUM, ctx.group), None, None


class _AllGather(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: Group | None) -> Tensor:
        ctx.group = group
        every: Tensor = tensor.new_empty(((group or current()).size, *tensor.shape))
        collectives.all_gather_into_tensor(every, tensor, group)
        return every

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return reduce_scatter(g.unbind(0), ReduceOp.SUM, ctx.group), None


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dst: int, group: Group | None) -> Tensor:
        ctx.dst, ctx.group = dst, group
        every: Tensor = tensor.new_zeros(((group or current()).size, *tensor.shape))
        exchange.gather(tensor, every.unbind(0) if current().rank == dst else None, dst, group)
        return every

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return scatter(g.unbind(0), ctx.dst, ctx.group), None, None


class _Scatter(Function):
    @staticmethod
    def forward(ctx: Any, tensors: Tensor, src: int, group: Group | None) -> Tensor:
        ctx.src, ctx.group = src, group
        mine: Tensor = tensors.new_empty(tensors.shape[1:])
        exchange.scatter(mine, tensors.unbind(0) if current().rank == src else None, src, group)
        return mine

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return allgrad.stack(gather(g, ctx.src, ctx.group)), None, None


class _ReduceScatter(Function):
    @staticmethod
    def forward(ctx: Any, tensors: Tensor, op: ReduceOp, group: Group | None) -> Tensor:
        ctx.op, ctx.group = op, group
        mine: Tensor = tensors.new_empty(tensors.shape[1:])
        exchange.reduce_scatter_tensor(mine, tensors, op, group)
        return mine

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        share = 1 / (ctx.group or current()).size if ctx.op is ReduceOp.AVG else 1
        return allgrad.stack(all_gather(g * share, ctx.group)), None, None


class _AllToAll(Function):
    @staticmethod
    def forward(ctx: Any, tensors: Tensor, group: Group | None) -> Tensor:
        ctx.group = group
        came: Tensor = allgrad.empty_like(tensors)
        exchange.all_to_all_single(came, tensors, group=group)
        return came

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return allgrad.stack(all_to_all(g.unbind(0), ctx.group)), None
