// Getting in, and asking the API. A lost session is announced by the event "closed" of `doors`.

export const doors = new EventTarget();

/** GET or send JSON; throws an Error with the API's own words and its `status`. */
export async function ask(path, { method = "GET", body } = {}) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "same-origin",
    cache: "no-store",
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== "/api/session") doors.dispatchEvent(new Event("closed"));
  throw Object.assign(new Error(said.detail ?? `HTTP ${answer.status}`), { status: answer.status });
}

/** Take the one-time code out of the address bar, so that it is in no history and no screenshot. */
export function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (code) history.replaceState(null, "", location.pathname);
  return code;
}

export const logIn = (secret) => ask("/api/session", { method: "POST", body: secret });
export const logOut = () => ask("/api/session", { method: "DELETE" });

/** Say whether a session is there already. */
export async function isOpen() {
  try {
    await ask("/api/session");
    return true;
  } catch (error) {
    if (error.status === 401) return false;
    throw error;
  }
}
