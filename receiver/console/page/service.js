// Rule 1: a running service is one line; what happened last is a line beside it, and details that
//         open over the page: nothing else moves. An error of the code opens automatically.
// Rule 2: the changes on the PBX after a change of the code are shown until the next change;
//         warnings look different.

import { announce, at, h, say } from "./dom.js";
import { clock } from "./words.js";

const NAMES = { running: "running", starting: "starting", broken: "broken" };

export class Service {
  constructor(store) {
    this.store = store;
    this.before = null;
    at("service").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !at("service").open) return;
      at("service").open = false;
      at("service-head").focus();
    });
    store.on(["state", "service"], () => this.render());
    store.on(["state", "registration"], () => this.registration());
  }

  render() {
    const { state } = this.store;
    const service = state?.service;
    say(at("title"), state?.title ?? "");
    document.title = state?.title ? `${state.title} · receiver console` : "Receiver console";
    if (!service) return;
    const { changes = [] } = service;
    const broken = service.state === "broken";
    const line = at("service-line");
    line.dataset.state = service.state;
    line.replaceChildren(
      NAMES[service.state] ?? service.state,
      h("span", { class: "since" }, ` since ${clock(service.since)}`),
    );
    const warnings = changes.filter((line) => line.startsWith(WARNING));
    at("service").hidden = !broken && !changes.length;
    at("service").dataset.state = !broken && warnings.length ? "warning" : service.state;
    if (broken !== (this.before === "broken")) at("service").open = broken;
    say(at("service-head"), broken ? FAILED[Boolean(service.serves)] : summary(service, warnings));
    at("service-body").tabIndex = 0; // a long traceback scrolls
    at("service-body").replaceChildren(
      broken ? h("pre", {}, service.text) : h("p", {}, service.text),
      changed(changes),
    );
    if (this.before && this.before !== service.state)
      announce(
        `The service is ${NAMES[service.state]}.` +
          (broken && service.serves ? " The previous version continues to answer." : ""),
      );
    this.before = service.state;
  }

  registration() {
    const { registration } = this.store.state ?? {};
    at("registration").hidden = !registration;
    if (!registration) return;
    const { state, lines = [], text, checked } = registration;
    at("registration-body").replaceChildren(
      h("p", { class: "standing", "data-state": state }, STANDING[state] ?? state),
      text ? h("p", {}, text) : "",
      changed(lines),
      h("p", { class: "count" }, checked ? `Compared at ${clock(checked)}` : "Not compared yet"),
    );
  }
}

const FAILED = {
  true: "The new code does not start: the version before it serves on",
  false: "The service does not run",
};
const STANDING = {
  "in step": "No differences from the PBX",
  differs: "Differs from the PBX",
  unknown: "Unknown",
  off: "Not compared",
};
const MARKS = { "+": "added", "-": "removed", "~": "changed" };
const WARNING = "Warning: ";

// "app.py changed: 1 added, 2 changed on the PBX", or the first warning.
function summary({ text, changes }, [first, ...others]) {
  if (first) {
    const more = others.length ? ` (and ${others.length} more)` : "";
    return `⚠ ${first.slice(WARNING.length)}${more}`;
  }
  const counts = Object.entries(MARKS)
    .map(([mark, name]) => [changes.filter((line) => line.startsWith(mark)).length, name])
    .filter(([n]) => n);
  const what = counts.map(([n, name]) => `${n} ${name}`).join(", ");
  return `${text ? `${text}: ` : ""}${what} on the PBX`;
}

/** Lines as a plan prints them: "+ action 8000/pick". */
function changed(lines) {
  if (!lines.length) return "";
  return h(
    "ul",
    { class: "changes" },
    lines.map((line) => {
      const mark = line.startsWith(WARNING) ? "warning" : MARKS[line[0]];
      return h(
        "li",
        { "data-mark": mark },
        MARKS[line[0]]
          ? [
              h("b", { "aria-hidden": "true" }, line[0]),
              h("span", { class: "sr" }, `${mark}: `),
              line.slice(1).trim(),
            ]
          : line,
      );
    }),
  );
}
