// Rule 1: how the service stands is one quiet line while it runs; if the code is broken, the error
//         with its place stands above everything else.
// Rule 2: what a change of the code changed stays in sight until the next change.

import { announce, at, h, say } from "./dom.js";
import { clock } from "./words.js";

const NAMES = { running: "running", starting: "starting", broken: "broken" };

export class Service {
  constructor(store) {
    this.store = store;
    this.before = null;
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
    at("service").hidden = !broken && !changes.length;
    at("service").dataset.state = service.state;
    at("service").tabIndex = broken ? 0 : -1; // a long traceback scrolls
    say(
      at("service-head"),
      broken ? FAILED[Boolean(service.serves)] : "What the last change of the code changed",
    );
    at("service-body").replaceChildren(
      ...(broken
        ? [h("pre", {}, service.text)]
        : [service.text && h("p", {}, service.text)].filter(Boolean)),
      changed(changes),
    );
    if (this.before && this.before !== service.state)
      announce(
        `The service is ${NAMES[service.state]}.` +
          (broken && service.serves ? " The version before it goes on answering." : ""),
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
      h("p", { class: "count" }, checked ? `Looked at ${clock(checked)}` : "Not looked at yet"),
    );
  }
}

const FAILED = {
  true: "The new code does not start: the version before it goes on answering",
  false: "The service does not run",
};
const STANDING = {
  "in step": "In step with the PBX",
  differs: "Differs from the PBX",
  unknown: "Not known",
  off: "Not looked at",
};
const MARKS = { "+": "added", "-": "removed", "~": "changed" };

/** Lines as a plan prints them: "+ action 8000/pick". */
function changed(lines) {
  if (!lines.length) return "";
  return h(
    "ul",
    { class: "changes" },
    lines.map((line) => {
      const mark = MARKS[line[0]];
      return h(
        "li",
        { "data-mark": mark },
        mark
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
