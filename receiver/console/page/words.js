// Rule 1: all texts for times, shares, states and reasons are here.
// Rule 2: pure functions of their arguments.

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** "09:41:07" of an ISO time. */
export const clock = (iso) => (iso ? CLOCK.format(new Date(iso)) : "");

/** Date and time of an ISO time. */
export const moment = (iso) => (iso ? DAY.format(new Date(iso)) : "");

/** "34 ms" or "1.52 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(2)} s`;
}

/** "41 %" of a share. */
export const percent = (share) =>
  share > 0 && share < 0.005 ? "<\u00a01\u00a0%" : `${Math.round((share ?? 0) * 100)}\u00a0%`;

/** "1 call", "10,000 calls". */
export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** "8000 Sales", with the PBX's label if there are several. */
export const ivrName = (ivr) =>
  [ivr.pbx ? `${ivr.pbx}/${ivr.number}` : ivr.number, ivr.name].filter(Boolean).join(" ");

export const callerName = (call) => [call.caller || "unknown", call.name].filter(Boolean).join(" ");

/** The states of a call in the list and on the phone. */
export const STATES = {
  prompt: "Prompt is playing",
  gap: "Waiting for further keys",
  asking: "Asking the service",
  waiting: "Waiting for a key",
  ended: "Ended",
};

/** The reasons of replies; others are shown by their name. */
export const REASONS = {
  handled: "answered by the handler",
  late: "late: the fallback answered",
  raised: "the handler raised: the fallback answered",
  invalid: "no valid reply: the fallback answered",
  shed: "too many at once: the fallback answered",
  broken: "a session or CRM was down: the fallback answered",
  looped: "repeated too often: the fallback answered",
  "continued": "late: the prompt is repeated, the answer follows",
};

/** The same as the cause of a fallback, in a word or two. */
export const CAUSES = {
  late: "late",
  raised: "raised",
  invalid: "invalid reply",
  shed: "too many calls",
  broken: "dependency down",
  looped: "repeated too often",
  continued: "answered late",
};

const WELL = new Set([null, undefined, "", "handled", "continued"]);

/** Whether a call had no problem. */
export function isWell(call) {
  return call.end?.kind !== "failed" && WELL.has(call.reason) && (call.worst ?? 0) < 1;
}

/** "ok", "low" (little time is left) or "bad", for a share of a deadline. */
export function health(share) {
  if ((share ?? 0) >= 1) return "bad";
  return share >= 0.7 ? "low" : "ok";
}

/** One line with the end of a call, or its state. */
export const standing = (call) => (call.end ? call.end.text || call.end.kind : STATES[call.state]);

/** How to begin: what to press for a first callback of the IVR; empty if it has no action. */
export function firstStep(ivr, caller) {
  if (!ivr?.example) return "";
  const { caller: number, keys } = ivr.example;
  const call = number && number !== caller ? `Enter caller ${number}, press Call` : "Press Call";
  return keys ? `${call}, then ${keys}` : call;
}

/** The keys that an IVR takes: those of its action URLs, and of its menu. */
export function validKeys({ actions, menu }) {
  const masks = actions.filter((one) => one.kind === "DTMF" && one.enabled).map((one) => one.mask);
  const entries = menu.map((one) => one.keys).filter((keys) => /^[0-9*#]+$/.test(keys));
  return spaced([...masks, ...entries].join(";"));
}

/** The masks of action URLs, with line break opportunities. */
export const spaced = (mask) => mask.replaceAll(";", "; ");
