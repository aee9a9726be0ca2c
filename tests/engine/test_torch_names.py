"""Scripts that say ``import torch`` run on allgrad."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_import_torch_gives_allgrad_and_its_submodules() -> None:
    done = run(
        "import allgrad; allgrad.as_torch(); allgrad.as_torch()\n"
        "import torch\n"
        "import torch.autograd as autograd\n"
        "from torch.autograd import Function\n"
        "assert torch is allgrad and autograd is allgrad.autograd\n"
        "assert allgrad.autograd.__spec__.name == 'allgrad.autograd'\n"
        "print(torch.tensor([1.0]).device, torch.cuda.is_available())\n"
    )
    assert done.stdout == "cpu False\n", done.stderr


def test_what_pytorch_calls_otherwise_can_be_imported_by_its_name_there() -> None:
    done = run(
        "import allgrad.distributed as dist\n"
        "import allgrad.distributed.nn.functional as functional\n"
        "from allgrad.nn.parallel import DistributedDataParallel\n"
        "from allgrad.utils.data.distributed import DistributedSampler\n"
        "from allgrad.nn.modules.loss import MSELoss\n"
        "import allgrad.dist.functional\n"
        "assert dist is allgrad.dist is allgrad.distributed and functional is allgrad.dist.functional\n"
        "assert DistributedDataParallel is allgrad.dist.DataParallel and MSELoss is allgrad.nn.MSELoss\n"
        "print(dist.__name__, dist.__spec__.name)\n"
        "import allgrad.distributed.elastic\n"
    )
    assert done.stdout == "allgrad.dist allgrad.dist\n", done.stderr
    assert "torch.distributed.elastic has no counterpart in allgrad" in done.stderr


def test_a_submodule_without_counterpart_is_a_clear_import_error() -> None:
    done = run("import allgrad; allgrad.as_torch()\nimport torch.jit.frontend")
    assert done.returncode == 1
    assert "has no counterpart in allgrad" in done.stderr


def test_it_refuses_when_another_torch_is_imported_already() -> None:
    done = run(
        "import sys, types; sys.modules['torch'] = types.ModuleType('torch')\n"
        "import allgrad\n"
        "try: allgrad.as_torch()\n"
        "except RuntimeError as error: print(error)\n"
    )
    assert "call it before anything imports torch" in done.stdout, done.stderr
