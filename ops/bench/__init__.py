"""How fast Bahi is: each stage beside the limit that its machine and its libraries set, in the same run.

A machine's speed varies with the hour and with who else uses it, so no figure stands alone: ours and the limit are
measured in turns, and what counts is the ratio (median of the rounds, with the least and the most).

    measure.py      rounds in turns, and the shape of a result
    shown.py        the same for eyes
    catalogue.py    the names
    frames.py       full-mode frames as the sandbox exchange makes them
    bed.py          servers and folders that live as long as a benchmark
    parse.py ...    one benchmark each: `run(trial)` gives its cases

`bahi bench NAME` runs one; docs/benchmarks.md holds what was found, and what holds back each miss.
"""
