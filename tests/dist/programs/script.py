"""A script that tells how it was started and then ends in the way its first argument says."""

import os
import subprocess
import sys

how = sys.argv[1] if len(sys.argv) > 1 else ""
print(f"{__name__} {sys.argv[1:]} {sys.path[0].endswith('programs')}")
print(sorted({"numpy", "mpi4py", "allgrad.api"} & set(sys.modules)))
if how == "code":
    sys.exit(int(sys.argv[2]))
if how == "text":
    sys.exit("no data here")
if how == "raise":
    raise ValueError("wrong")
if how == "interrupt":
    raise KeyboardInterrupt
if how == "child":
    # Like a background process of a shell, which inherits every file that is not closed.
    subprocess.Popen(["sleep", "20"], close_fds=False)
if how == "fork":
    # What a forked child does is its own affair: the rank goes on.
    child = os.fork()
    if child == 0:
        raise ValueError("in a child")
    print(f"the child ended with {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
