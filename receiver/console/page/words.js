// Rule 1: how things are said stands here alone: times, shares, names of states and reasons.
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
export const percent = (share) => `${Math.round((share ?? 0) * 100)} %`;

/** "1 call", "10,000 calls". */
export const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

/** "8000 Sales", with the PBX's label if there are several. */
export const ivrName = (ivr) =>
  [ivr.pbx ? `${ivr.pbx}/${ivr.number}` : ivr.number, ivr.name].filter(Boolean).join(" ");

export const callerName = (call) => [call.caller || "unknown", call.name].filter(Boolean).join(" ");

/** What a call is doing, as the list and the phone say it. */
export const STATES = {
  prompt: "Prompt is playing",
  gap: "Waiting for further keys",
  asking: "Asking the service",
  waiting: "Waiting for a key",
  ended: "Ended",
};

/** Why the caller got this answer; what is missing here is said as the service calls it. */
export const REASONS = {
  handled: "answered by the handler",
  late: "late: the fallback answered",
  raised: "the handler raised: the fallback answered",
  invalid: "no valid reply: the fallback answered",
  shed: "too many at once: the fallback answered",
  broken: "a session or CRM was down: the fallback answered",
  looped: "repeated too often: the fallback answered",
  "handed over": "late: the prompt is repeated, the answer follows",
};

const WELL = new Set([null, undefined, "", "handled", "handed over"]);

/** Whether nobody needs to look at this call. */
export function isWell(call) {
  return call.end?.kind !== "failed" && WELL.has(call.reason) && (call.worst ?? 0) < 1;
}

/** "ok", "low" (most of the time is used up) or "bad", of a share of a deadline. */
export function health(share) {
  if ((share ?? 0) >= 1) return "bad";
  return share >= 0.7 ? "low" : "ok";
}

/** One line on how a call ended, or what it does. */
export const standing = (call) => (call.end ? call.end.text || call.end.kind : STATES[call.state]);

const OUTCOMES = {
  forwarded: "forwarded to",
  repeated: "the prompt is repeated",
  menu: "the IVR goes on by its own rules",
  failed: "failed:",
};

/** "forwarded to 222", of the outcome of a callback. */
export const outcomeText = ({ kind, detail }) =>
  [OUTCOMES[kind] ?? kind, detail].filter(Boolean).join(" ");

/** The action URLs' masks, broken where a line may break. */
export const spaced = (mask) => mask.replaceAll(";", "; ");
