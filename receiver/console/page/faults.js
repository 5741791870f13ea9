// Rule 1: sets the simulated faults, and the time and night mode of the simulated PBX. A change is
//         sent at once, and the server's state is shown.
// Rule 2: an active fault is highlighted, and one button ends all faults.

import { at, h, say } from "./dom.js";
import { address } from "./phone.js";
import { post, reasonOf } from "./wire.js";

const CHOICES = [
  ["network", "Network", { ok: "ok", drop: "drops", refuse: "refuses" }],
  ["password", "Password", { right: "right", wrong: "wrong" }],
  ["crm", "CRM", { ok: "ok", slow: "slow", down: "down" }],
];
const REACH =
  "CRM: all requests of httpx. Not reached: requests, aiohttp, urllib, database drivers.";
const NONE = { slow: 0, network: "ok", password: "right", crm: "ok" };

export class Faults {
  constructor(store) {
    this.store = store;
    this.form = at("faults-form");
    this.build();
    this.form.addEventListener("submit", (event) => event.preventDefault());
    store.on(["state", "faults", "clock", "ivrs"], () => this.render());
    at("ivr").addEventListener("change", () => this.render());
  }

  build() {
    this.slow = h("input", {
      type: "range",
      id: "slow",
      min: 0,
      max: 10,
      step: 0.1,
      value: 0,
      input: () => this.tellSlow(),
      change: () => this.fault({ slow: Number(this.slow.value) }),
    });
    this.slowText = h("output", { for: "slow", class: "mono" });
    this.clear = h(
      "button",
      { type: "button", class: "quiet", click: () => this.fault(NONE) },
      "End all faults",
    );
    this.clock = h("input", {
      type: "datetime-local",
      id: "clock",
      change: () => this.setClock(this.clock.value),
    });
    this.now = h(
      "button",
      { type: "button", class: "quiet", click: () => this.setClock("") },
      "Real time",
    );
    this.night = h("input", {
      type: "checkbox",
      role: "switch",
      id: "night",
      change: () => this.setNight(),
    });
    this.nightText = h("span", {});
    this.form.append(
      h(
        "fieldset",
        {},
        h("legend", {}, "Faults"),
        h(
          "div",
          { class: "setting" },
          h("label", { for: "slow" }, "Service slower"),
          this.slow,
          this.slowText,
        ),
        CHOICES.map((choice) => this.choice(...choice)),
        h("p", { class: "count" }, REACH),
        this.clear,
      ),
      h(
        "fieldset",
        {},
        h("legend", {}, "PBX"),
        h(
          "div",
          { class: "setting setting-clock" },
          h("label", { for: "clock" }, "Clock"),
          this.clock,
          this.now,
        ),
        h("label", { class: "check" }, this.night, " ", this.nightText),
      ),
    );
  }

  choice(name, title, options) {
    const id = `fault-${name}`;
    const radios = Object.entries(options).map(([value, text]) =>
      h(
        "label",
        { class: "segment", "data-value": value },
        h("input", { type: "radio", name, value, change: () => this.fault({ [name]: value }) }),
        h("span", {}, text),
      ),
    );
    return h(
      "div",
      { class: "setting" },
      h("span", { id }, title),
      h("div", { class: "segments", role: "radiogroup", "aria-labelledby": id }, radios),
    );
  }

  render() {
    const { faults, clock, ivrs } = this.store.state ?? {};
    if (!faults) return;
    if (document.activeElement !== this.slow || !this.sending) this.slow.value = faults.slow;
    this.tellSlow();
    for (const [name] of CHOICES) this.form.elements[name].value = faults[name];
    const any = Object.keys(NONE).some((name) => faults[name] !== NONE[name]);
    this.clear.setAttribute("aria-disabled", !any);
    at("faults").dataset.on = any;
    if (document.activeElement !== this.clock) this.clock.value = (clock?.at ?? "").slice(0, 16);
    this.now.setAttribute("aria-pressed", !clock?.at);
    const ivr = ivrs.find((one) => address(one) === at("ivr").value);
    this.night.disabled = !ivr;
    this.night.checked = Boolean(ivr?.night);
    say(
      this.nightText,
      `Night mode of ${ivr ? address(ivr) : "the IVR"}${ivr?.office ? ` (office: ${ivr.office})` : ""}`,
    );
  }

  tellSlow() {
    say(this.slowText, `${Number(this.slow.value).toFixed(1)} s`);
    this.slow.setAttribute("aria-valuetext", `${this.slow.value} seconds`);
  }

  fault(changes) {
    return this.send("faults", changes);
  }

  setClock(text) {
    return this.send("pbx/clock", { at: text || null });
  }

  setNight() {
    return this.send("pbx/night", { ivr: at("ivr").value, on: this.night.checked });
  }

  async send(path, value) {
    this.sending = true;
    try {
      await post(path, value);
      say(at("faults-error"), "");
    } catch (error) {
      say(at("faults-error"), reasonOf(error));
      this.render(); // back to the server's state
    }
    this.sending = false;
  }
}
