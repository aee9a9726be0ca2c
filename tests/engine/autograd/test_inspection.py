"""What a graph holds, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

import allgrad as torch
from allgrad import Tensor, nn


def test_the_ledger_counts_each_piece_of_memory_once_by_operation_and_line() -> None:
    w = torch.ones(100, requires_grad=True)
    x = torch.ones(100)
    y = (w * x).exp()
    z = y * y
    ledger = torch.memory(z.sum())
    assert ledger.operations == {"MulBackward0": 400, "ExpBackward0": 400}
    assert ledger.total == 800
    assert ledger.parameters == 400
    assert all("test_inspection.py" in line for line in ledger.lines)
    assert "ExpBackward0" in str(ledger)


def test_a_graph_that_was_run_backward_holds_nothing() -> None:
    loss = (torch.ones(10, requires_grad=True).exp()).sum()
    loss.backward()
    assert torch.memory(loss).total == 0


def test_a_printed_graph_names_nodes_inputs_saved_values_and_lines() -> None:
    x = torch.ones(3, requires_grad=True)
    shown = str((x * 2).sin().sum().graph())
    lines = shown.splitlines()
    assert lines[0].startswith("#0 SumBackward0   ← #1")
    assert "SinBackward0   ← #2   saved: input [3]" in lines[1]
    assert "test_inspection.py" in lines[2]
    assert lines[-1] == "#3 leaf [3] torch.float32"


def test_the_page_stands_alone_and_escapes_the_program(tmp_path: Path) -> None:
    x = torch.ones(3, requires_grad=True)
    y = (x * (1 if 1 < 2 else 0)).unbind()[1]
    page = tmp_path / "graph.html"
    y.graph().save(page)
    text = page.read_text()
    assert "1 &lt; 2" in text
    assert "http" not in text
    assert f">{Path(__file__).name}:" in text  # the folder is left to the tooltip
    assert 'href="#n' in text


def test_ten_thousand_nodes_are_shown_without_recursion() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y * 1.0001
    assert len(y.graph()) == 10_001
    assert len(str(y.graph()).splitlines()) == 10_001


def test_a_constant_has_no_graph() -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.ones(1).graph()


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y.exp()


def test_the_ledger_and_the_graph_name_the_module_that_recorded() -> None:
    block, x = Block(), torch.ones(5, 2)
    loss = (block(x) * torch.ones(5, 2)).square().sum()
    ledger = torch.memory(loss)
    assert ledger.modules["Block.inner.1 (Tanh)"] == 40
    assert ledger.modules["Block"] == 40
    assert sum(ledger.modules.values()) == ledger.total
    assert "(no module)" in str(ledger)
    assert "Block.inner.0 (Linear 2→2)" in str(loss.graph())
    assert "Block.inner.0 (Linear 2→2)" in loss.graph().html()


def test_modules_are_told_apart_over_many_calls() -> None:
    block, x = Block(), torch.ones(1, 2)
    for _ in range(2000):
        block(x)
    assert torch.memory(block(x).sum()).modules["Block.inner.1 (Tanh)"] == 8
