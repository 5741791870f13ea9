// Rule 1: the phone's display shows what the call does now, and how it ended.
// Rule 2: its size is fixed, so that nothing below it moves; what does not fit is in the ladder.
// Rule 3: countdowns are not announced to screen readers; the prompt, the end and a failed callback
//         are.

import { announce, at, h, say, vary } from "./dom.js";
import { isMuted } from "./sounds.js";
import { callerName, counted, duration, firstStep, percent, STATES } from "./words.js";

const TICK = 100; // milliseconds
const MAX_KEYS = 12; // that fit

export class Display {
  constructor() {
    this.parts = {
      state: h("p", { class: "display-state" }),
      keys: h("p", { class: "display-keys mono" }),
      prompt: h("p", { class: "display-prompt" }),
      verdict: h("p", { class: "display-verdict" }),
      countdown: h(
        "p",
        { class: "countdown" },
        h("span", { class: "countdown-text" }),
        h("i", { "aria-hidden": "true" }),
      ),
    };
    this.audio = h("audio", {
      controls: true,
      preload: "none",
      hidden: true,
      "aria-label": "Prompt",
    });
    at("display").append(...Object.values(this.parts), this.audio);
    this.said = "";
    this.until = null; // {at: ms, whole: ms, text}
    setInterval(() => this.tick(), TICK);
  }

  /** Shows a call of the IVR with its steps, or that there is no call. */
  show(call, ivr) {
    const { state, keys, prompt, verdict } = this.parts;
    at("display").dataset.state = call ? call.state : "ready";
    at("display").dataset.end = call?.end?.kind ?? "";
    say(state, call ? headline(call) : "Ready");
    say(keys, call ? lastOf(call.now?.keys) || (call.end ? "" : (call.now?.ivr ?? call.ivr)) : (ivr?.number ?? "–"));
    const spoken = call && !call.end ? promptText(call.now?.prompt) : "";
    const last = call ? lastCallback(call) : null;
    say(verdict, last ? last.text : "");
    verdict.dataset.kind = last?.kind ?? "";
    const idle = call ? spoken || nextKeys(ivr) : firstStep(ivr, at("caller").value);
    say(prompt, call?.end ? record(call) : idle);
    prompt.hidden = Boolean(last && !call.end); // there is room for one of them
    this.play(call && !call.end ? call.now?.prompt?.audio : null);
    this.count(call);
    this.tell(call, spoken, last);
  }

  play(file) {
    this.audio.hidden = !file;
    if (file === this.file) return;
    this.file = file;
    if (!file) {
      this.audio.pause();
      this.audio.removeAttribute("src");
    } else {
      this.audio.src = file;
      if (!isMuted()) this.audio.play().catch(() => {}); // the browser may forbid it
    }
  }

  tell(call, spoken, last) {
    const end = call?.end ? `Call ended: ${call.end.text}.` : "";
    const failed = ["failed", "missing"].includes(last?.kind) ? last.text : "";
    const text = [failed, end || spoken].filter(Boolean).join(" ");
    if (text && text !== this.said) announce(text);
    this.said = text;
  }

  // The end of the gap or of the wait for a key, whichever runs.
  count(call) {
    const now = call && !call.end ? call.now : null;
    const [until, text] = now?.gap_until
      ? [now.gap_until, "until the keys count as entered"]
      : now?.timeout_until
        ? [now.timeout_until, "until no input"]
        : [null, ""];
    if (!until) this.until = null;
    else if (this.until?.iso !== until) {
      const left = Math.max(0, Date.parse(until) - Date.now());
      const whole = now.gap_until ? now.gap_seconds * 1000 : left;
      this.until = {
        iso: until,
        at: Date.now() + Math.min(left, whole || left),
        whole: whole || 1,
        text,
      };
    }
    this.tick();
  }

  tick() {
    const { countdown } = this.parts;
    countdown.hidden = !this.until;
    if (!this.until) return;
    const left = Math.max(0, this.until.at - Date.now());
    say(countdown.firstChild, `${(left / 1000).toFixed(1)} s ${this.until.text}`);
    vary(countdown, "--left", left / this.until.whole);
  }
}

/** The prompt as text: a prompt is {text, audio}, or its text alone. */
export function promptText(prompt) {
  if (!prompt) return "";
  if (typeof prompt === "string") return prompt;
  return prompt.text || "";
}

const nextKeys = (ivr) => (ivr?.example?.keys ? `Now press ${ivr.example.keys}` : "");

const lastOf = (keys = "") => (keys.length > MAX_KEYS ? `…${keys.slice(1 - MAX_KEYS)}` : keys);

function headline(call) {
  if (call.end) return call.end.text || call.end.kind;
  const repeats = call.now?.repeats;
  return STATES[call.state] + (repeats && call.state !== "asking" ? `, repeat ${repeats}` : "");
}

function record(call) {
  const calls = `${callerName(call)} to ${call.ivr}, ${counted(call.callbacks, "callback")}`;
  return call.callbacks ? `${calls}; slowest at ${percent(call.worst)} of its deadline` : calls;
}

// The outcome of the last callback, if it failed or a fallback answered; or keys without one.
function lastCallback(call) {
  const step = call.steps.findLast((step) => step?.callback?.outcome || step?.missing);
  if (!step) return null;
  if (step.missing) return { kind: "missing", text: MISSING };
  const last = step.callback;
  const { kind, text } = last.outcome;
  if (kind === "failed") return { kind, text: `Callback ${text}` };
  const fell = last.reason && !["handled", "continued"].includes(last.reason);
  if (fell)
    return {
      kind: "fallback",
      text: `${last.handler ?? "The handler"} ${FELL[last.reason] ?? last.reason}; the fallback answered in ${duration(last.seconds)}`,
    };
  return null;
}

const MISSING = "No action takes these keys; the call shows what to declare.";

const FELL = {
  late: "was late",
  raised: "raised",
  invalid: "gave no valid reply",
  shed: "had too many calls at the same time",
  broken: "lacks a service or store that it needs",
  looped: "repeated too often",
};
