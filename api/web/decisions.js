// What a user decides: sent, and waited for until it counts in the tables.

import { ask } from "./door.js";

const LOOK_MS = 400;
const WAIT_MS = 30_000; // the worker takes requests within a second; a long past is attributed anew in more
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Send a decision; give whether it counts already. Throws what the API says against it. */
export async function decide(path, { method = "POST", body } = {}) {
  const { request, stream } = await ask(path, { method, body });
  for (const until = Date.now() + WAIT_MS; Date.now() < until; await pause(LOOK_MS)) {
    const { decided } = await ask("/api/strategies?limit=1");
    if ((decided[stream] ?? 0) >= request) return true;
  }
  return false;
}

/** Say what came of a decision in an element, and run what follows where it was taken. */
export async function say(element, sending, done) {
  element.className = "said";
  element.textContent = "Taking it in…";
  try {
    const counts = await sending;
    element.textContent = counts ? "Done." : "Taken; it counts as soon as bahi sync and bahi project have come to it.";
    await done?.();
  } catch (error) {
    element.className = "said warn";
    element.textContent = error.status ? error.message : "The server does not answer.";
  }
}
