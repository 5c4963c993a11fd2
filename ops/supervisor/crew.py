"""All programs together: started one by one, stopped stage by stage."""

import asyncio
import time

from ops.supervisor.child import Child
from ops.supervisor.console import Console
from ops.supervisor.guard import Guard
from ops.supervisor.program import Program, Stage
from runtime.lifecycle import GRACE_SECONDS

STAGE_ENDS_SECONDS = {Stage.WRITERS: 4.5, Stage.READERS: 6.5, Stage.SERVERS: 7.5}
"""By when, counted from the stop, each stage is over; what is left of it then is killed. A stage that is quick leaves
its time to the next. Contract: all within 10 s."""

assert sorted(STAGE_ENDS_SECONDS.values()) == [STAGE_ENDS_SECONDS[stage] for stage in Stage], "stages follow each other"
assert max(STAGE_ENDS_SECONDS.values()) < GRACE_SECONDS, "the last stage is over before we are cancelled ourselves"


class Crew:
    """The children of one supervisor."""

    def __init__(self, guard: Guard, console: Console) -> None:
        self._guard = guard
        self._console = console
        self._children: list[Child] = []

    def add(self, program: Program) -> Child:
        """Start a program and keep it running."""
        child = Child(program, self._guard, self._console)
        self._children.append(child)
        child.begin()
        return child

    async def stop(self, hurry: asyncio.Event) -> None:
        """End all programs in order; once `hurry` is set, at once."""
        began = time.monotonic()
        hurrying = asyncio.create_task(self._kill_when(hurry))
        for stage in Stage:
            deadline = began + STAGE_ENDS_SECONDS[stage]
            await self._stop_stage(stage, deadline)
        hurrying.cancel()

    def kill(self) -> None:
        """Kill every program now."""
        for child in self._children:
            child.kill()

    async def _stop_stage(self, stage: Stage, deadline: float) -> None:
        children = [child for child in self._children if child.program.stage == stage]
        seconds = deadline - time.monotonic()
        ended = await asyncio.gather(*(child.stop(seconds) for child in children))
        for child, by_itself in zip(children, ended, strict=True):
            if not by_itself:
                self._console.say(f"{child.name} did not end in {seconds:.1f} s and was killed")

    async def _kill_when(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        self._console.say("everything is killed; nothing that is on disk is lost")
        self.kill()
