# Whether the PSBT class of `hwi` on PyPI takes PSBTs and gives them back as they were.
#
#   PYTHONPATH=FOLDER python3 referee.py
#
# FOLDER holds hwi: `python3 -m pip install --no-deps --require-hashes --target FOLDER -r requirements.txt`. Reads a PSBT
# in base64 from each line of standard input, and prints how many it took.

import sys

from hwilib.psbt import PSBT

count = 0
for line in sys.stdin:
    psbt = PSBT()
    psbt.deserialize(line.strip())
    if psbt.serialize() != line.strip():
        sys.exit(f"the PSBT {count} is another one when it is written again")
    count += 1
print(f"{count} taken")
