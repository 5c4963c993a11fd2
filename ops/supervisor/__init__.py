"""The supervisor behind `bahi up`: it starts programs, keeps them running, and leaves nothing behind.

Promise
- A program that ends is started again, with growing waits, and that is said.
- A stop ends everything in order: writers, then readers of the log, then servers; each stage by its deadline.
- Nothing outlives us: not a stop, not a crash, not our own kill -9; no grandchildren either.

How the last one is kept, in three nets
1. Each child carries a death signal (PR_SET_PDEATHSIG): the kernel sends it when we die. It reaches children only, and
   a child that is frozen or ignores it stays.
2. Each child is a session of its own. When a child ends, what is left of its session (the workers of a web server, say)
   is killed before it is started again.
3. The guard, a small process apart, holds the other end of a pipe. When the pipe closes without the guard having been
   told that all is over, we were killed: it ends every session that was on its list, asking first. It also holds the
   lock of the data directory until then, so that a new `bahi up` waits for the old one's remnants.

    procfile.py   which programs there are
    program.py    what the supervisor knows of one: how to start it, in which stage it stops, how long to wait
    child.py      one program that is kept running
    crew.py       all of them; the order of the stop
    session.py    the processes of a session, and their end
    guard.py      the process of net 3, and its pipe
    console.py    the lines that programs write, with their names, on one terminal
"""
