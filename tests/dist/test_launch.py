"""Which launcher started a rank, told from the variables that each one sets."""

import pytest

from allgrad.dist.launch import HYDRA, OPEN_MPI, SRUN, Launch, launch

OPEN_MPI_RANK = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "1"}
HYDRA_RANK = {"PMI_RANK": "1", "PMI_SIZE": "4", "PMI_FD": "9", "MPI_LOCALNRANKS": "4"}
SRUN_STEP = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "3"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        (OPEN_MPI_RANK, Launch(OPEN_MPI, 1, 4)),
        (HYDRA_RANK, Launch(HYDRA, 1, 4)),
        (SRUN_STEP, Launch(SRUN, 2, 3)),
        ({**SRUN_STEP, "PMI_RANK": "2", "PMI_SIZE": "3"}, Launch(SRUN, 2, 3)),
        ({**SRUN_STEP, **OPEN_MPI_RANK}, Launch(OPEN_MPI, 1, 4)),
        ({**SRUN_STEP, **HYDRA_RANK}, Launch(HYDRA, 1, 4)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, Launch("the launcher", 0, 2)),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, None),
    ],
    ids=[
        "by hand",
        "mpirun",
        "mpiexec",
        "srun",
        "srun pmi2",
        "mpirun in srun",
        "mpiexec in srun",
        "other",
        "sbatch",
    ],
)
def test_the_launcher_is_recognised(environ: dict[str, str], expected: Launch | None) -> None:
    assert launch(environ) == expected
