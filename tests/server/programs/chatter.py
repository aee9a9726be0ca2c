"""A job that prints LINES lines of 100 bytes, numbered."""

import sys

for number in range(int(sys.argv[1])):
    sys.stdout.write(f"{number:099d}\n")
