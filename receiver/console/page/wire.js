// Rule 1: all requests and events pass this module; URLs are relative.
// Rule 2: after a lost connection everything is reloaded: the server may be another process with
//         another token and other calls.
// Rule 3: it reconnects forever, at most twice a second.
// Rule 4: texts of callers and of the PBX are made safe on arrival, see text.js.

import { safe } from "./text.js";

const SHORTEST = 500; // milliseconds between two tries
const LONGEST = 5000;

let token = document.querySelector('meta[name="console-token"]').content;

/** The server refused a request; the message is shown. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The JSON behind a path. Throws Refused, or TypeError without an answer. */
export async function get(path) {
  return opened(await fetch(path));
}

/** Sends and returns JSON. A token from before a restart is renewed once. */
export async function post(path, value, headers = {}) {
  let answer = await send(path, value, headers);
  if (answer.status === 403 && (await renew())) answer = await send(path, value, headers);
  return opened(answer);
}

function send(path, value, headers) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Console-Token": token, ...headers },
    body: JSON.stringify(value),
  });
}

async function opened(answer) {
  const value = await answer.text().then(parsed).catch(() => null);
  if (answer.ok && value !== null) return value;
  throw new Refused(
    answer.status,
    value?.error ?? `The console's server answered ${answer.status}.`,
  );
}

const parsed = (json) => JSON.parse(json, safe);

async function renew() {
  const page = new DOMParser().parseFromString(await (await fetch("./")).text(), "text/html");
  const fresh = page.querySelector('meta[name="console-token"]')?.content;
  const differs = Boolean(fresh) && fresh !== token;
  if (differs) token = fresh;
  return differs;
}

/** The text for a failed request. */
export const reasonOf = (error) =>
  error instanceof Refused ? error.message : "The console’s server does not answer. Is it running?";

/** Follows the events of the server.
 *  load(state): everything, at first and after each break. apply(event): one change.
 *  report("connected" | "lost" | "signed out"): the state of the connection. */
export async function follow(load, apply, report) {
  for (let pause = SHORTEST; ; pause = Math.min(pause * 2, LONGEST)) {
    try {
      const state = await get("state");
      load(state);
      await listen(state.seq, apply, () => {
        report("connected");
        pause = SHORTEST / 2;
      });
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status))
        return report("signed out");
      if (!(error instanceof Refused || error instanceof TypeError)) console.error(error);
      report("lost");
    }
    await new Promise((resume) => setTimeout(resume, pause));
  }
}

// Returns when too many events were missed; throws a TypeError when the connection is lost.
function listen(seq, apply, connected) {
  return new Promise((end, fail) => {
    const source = new EventSource(`events?after=${seq}`);
    source.onopen = connected;
    source.onerror = () => {
      source.close();
      fail(new TypeError("the stream of events ended"));
    };
    source.onmessage = (message) => {
      const event = parsed(message.data);
      if (event.type !== "reset") return apply(event);
      source.close();
      return end();
    };
  });
}
