// Requests of scripts for JSON.

// An answer that does not come, or comes broken, is null and asked for again: the server may just begin anew. What it refuses stays refused.
export const REFUSED = Symbol("refused");

export async function fetchJson(address, options = {}) {
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, ...options });
    if (answer.redirected || (answer.status >= 400 && answer.status < 500)) return REFUSED;
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

// Tasks run one after the other: one that overtakes another would undo what was typed since.
let lastTask = Promise.resolve();
export function runInSequence(task) {
  lastTask = lastTask.catch(() => {}).then(task);
}
