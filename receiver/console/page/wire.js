// Rule 1: all that goes to the server and comes from it passes here; addresses are relative.
// Rule 2: after a break everything is read anew: the server may be another process by then, with
//         another token and other calls.
// Rule 3: it never gives up, and never asks more than twice a second.

const SHORTEST = 500; // milliseconds between two tries
const LONGEST = 5000;

let token = document.querySelector('meta[name="console-token"]').content;

/** The server understood and said no; the message is for people. */
export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** The JSON behind a path. Raises Refused, or TypeError if nobody answers. */
export async function get(path) {
  return opened(await fetch(path));
}

/** Sends JSON; answers with JSON. A token that a restart made stale is renewed once. */
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
  const value = await answer.json().catch(() => null);
  if (answer.ok && value !== null) return value;
  throw new Refused(
    answer.status,
    value?.error ?? `The console's server answered ${answer.status}.`,
  );
}

async function renew() {
  const page = new DOMParser().parseFromString(await (await fetch("./")).text(), "text/html");
  const fresh = page.querySelector('meta[name="console-token"]')?.content;
  const differs = Boolean(fresh) && fresh !== token;
  if (differs) token = fresh;
  return differs;
}

/** What to say of a failed request. */
export const reasonOf = (error) =>
  error instanceof Refused ? error.message : "The console’s server does not answer. Is it running?";

/** Follows the server for good.
 *  load(state): everything, at first and after each break. apply(event): one change.
 *  report("connected" | "lost" | "signed out"): how it stands. */
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

// Ends quietly when the server says that too much was missed, and with a TypeError at a break.
function listen(seq, apply, connected) {
  return new Promise((end, fail) => {
    const source = new EventSource(`events?after=${seq}`);
    source.onopen = connected;
    source.onerror = () => {
      source.close();
      fail(new TypeError("the stream of events broke"));
    };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type !== "reset") return apply(event);
      source.close();
      return end();
    };
  });
}
