"""Freed memory is kept for the next step, but not without bound."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
import allgrad as torch

torch.ones(1)

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) >> 10

def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    kept = [np.ones(1 << 18) for _ in range(50)]
    del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_a_step()
again = faults_of_a_step()
start = resident()
kept = [np.ones(1 << 17) for _ in range(800)]
del kept
print(again, resident() - start)
"""


def measured(**environment: str) -> tuple[int, int]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    faults, kept = map(int, ran.stdout.split())
    return faults, kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's thresholds are meant")
def test_a_second_step_touches_the_pages_of_the_first_and_a_peak_is_given_back() -> None:
    faults, kept = measured()
    assert faults < 1000
    assert kept < 300
    faults, _ = measured(ALLGRAD_KEEP_MEMORY="0")
    assert faults > 5000
