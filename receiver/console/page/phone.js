// Rule 1: the handset: one call at a time, dialled from this page; a reload keeps it on the phone.
// Rule 2: everything works by mouse, touch and keyboard; a key has an immediate sound and highlight,
//         and keys are sent in this order.
// Rule 3: an error of the server is shown next to the form.

import { at, h, say } from "./dom.js";
import { Display } from "./display.js";
import { endTone, keyTone, ringTone } from "./sounds.js";
import { post, reasonOf } from "./wire.js";
import { ivrName, spaced, validKeys } from "./words.js";

const LETTERS = {
  2: "abc",
  3: "def",
  4: "ghi",
  5: "jkl",
  6: "mno",
  7: "pqrs",
  8: "tuv",
  9: "wxyz",
  0: "+",
};
const SPOKEN = { "*": "star", "#": "hash" };
export const KEYS = [..."123456789*0#"];

export class Phone {
  constructor(store) {
    this.store = store;
    this.display = new Display();
    this.queue = Promise.resolve(); // keys that are being sent
    this.shape = "";
    this.keypad();
    at("dial").addEventListener("submit", (event) => (event.preventDefault(), this.dial()));
    at("hangup").addEventListener("click", () => this.hangUp());
    at("ivr").addEventListener("change", () => this.render());
    at("caller").addEventListener("input", () => this.render());
    store.on(["state"], () => (this.fresh = null));
    store.on(["state", "ivrs"], () => this.choices());
    store.on(["state", "mine", "calls", "ivrs"], () => this.render());
    store.mine = sessionStorage.getItem("call");
  }

  get call() {
    return this.store.details.get(this.store.mine) ?? null;
  }

  get busy() {
    const { mine, calls } = this.store;
    const known = this.call ?? calls.get(mine);
    return known ? !known.end : Boolean(mine) && this.fresh === mine;
  }

  /** The selected IVR, or the one of the call. */
  get ivr() {
    const ivrs = this.store.state?.ivrs ?? [];
    const { call } = this;
    const inCall = (one) => one.number === call.now?.ivr && one.pbx === call.pbx;
    const found = call && !call.end ? ivrs.find(inCall) : null;
    return found ?? ivrs.find((one) => address(one) === at("ivr").value) ?? null;
  }

  keypad() {
    const keys = KEYS.map((key) =>
      h(
        "button",
        { type: "button", class: "key", "data-press": key, click: () => this.press(key) },
        h("span", { class: "digit", "aria-hidden": key in SPOKEN ? "true" : null }, key),
        key in SPOKEN && h("span", { class: "sr" }, SPOKEN[key]),
        h("span", { class: "letters", "aria-hidden": "true" }, LETTERS[key] ?? ""),
      ),
    );
    at("keypad").append(...keys);
  }

  choices() {
    const { ivrs } = this.store.state;
    const shape = JSON.stringify(ivrs.map((ivr) => [ivr.pbx, ivr.number, ivr.name]));
    if (shape === this.shape) return;
    this.shape = shape;
    const select = at("ivr");
    const chosen = select.value;
    const option = (ivr) =>
      h("option", { value: address(ivr) }, [ivr.number, ivr.name].filter(Boolean).join(" "));
    const labels = [...new Set(ivrs.map((ivr) => ivr.pbx))];
    const of = (label) => ivrs.filter((ivr) => ivr.pbx === label).map(option);
    select.replaceChildren(
      ...(labels.length > 1
        ? labels.map((label) => h("optgroup", { label: label || "default PBX" }, of(label)))
        : ivrs.map(option)),
    );
    if (ivrs.some((ivr) => address(ivr) === chosen)) select.value = chosen;
  }

  async dial() {
    if (this.busy || this.dialling || !this.ivr) return;
    this.dialling = true;
    this.complain("");
    try {
      const { call } = await post("phone/dial", {
        ivr: at("ivr").value,
        caller: at("caller").value,
        name: at("name").value,
      });
      sessionStorage.setItem("call", call);
      ringTone();
      this.fresh = call; // keys count from now on, before its steps have come
      this.store.take(call);
      at("keypad").focus({ preventScroll: true });
    } catch (error) {
      this.complain(reasonOf(error));
    }
    this.dialling = false;
  }

  press(key) {
    keyTone(key);
    const button = at("keypad").querySelector(`[data-press="${CSS.escape(key)}"]`);
    button.classList.add("down");
    setTimeout(() => button.classList.remove("down"), 120);
    if (this.busy) this.order(`phone/${encodeURIComponent(this.store.mine)}/key`, { key });
  }

  hangUp() {
    if (this.busy) this.order(`phone/${encodeURIComponent(this.store.mine)}/hangup`, {});
  }

  order(path, value) {
    this.queue = this.queue
      .then(() => post(path, value))
      .then(
        () => this.complain(""),
        (error) => this.complain(reasonOf(error)),
      );
  }

  complain(text) {
    say(at("phone-error"), text);
  }

  render() {
    if (!this.store.state) return;
    const { call } = this;
    const ended = Boolean(call?.end);
    if (ended && this.live === call.id) endTone();
    this.live = call && !ended ? call.id : null;
    at("phone").dataset.busy = this.busy;
    at("call-button").setAttribute("aria-disabled", this.busy || !this.ivr);
    at("hangup").setAttribute("aria-disabled", !this.busy);
    this.display.show(call, this.ivr);
    this.validKeys();
    this.guide();
  }

  validKeys() {
    const keys = this.ivr ? validKeys(this.ivr) : "";
    at("valid-keys").hidden = !this.ivr;
    at("valid-keys").replaceChildren(
      keys ? "Valid keys: " : "No keys are declared.",
      h("span", { class: "mono" }, keys),
    );
  }

  // The keys of the selected IVR: its menu, and the action URLs.
  guide() {
    const { ivr } = this;
    const shape = JSON.stringify(ivr);
    if (at("guide").shape === shape) return;
    at("guide").shape = shape;
    if (!ivr)
      return at("guide").replaceChildren(h("p", { class: "empty" }, "No IVR is declared yet."));
    at("guide").replaceChildren(
      h("h3", {}, ivrName(ivr)),
      h(
        "p",
        { class: "count" },
        ivr.prompt?.text ? `“${ivr.prompt.text}”` : "",
        ivr.office && ` Office: ${ivr.office}.`,
        ivr.night && " Night mode is on.",
      ),
      h("dl", { class: "menu" }, ivr.actions.map(action), ivr.menu.map(entry)),
    );
  }
}

const action = (one) =>
  h(
    "div",
    { "data-off": one.enabled ? null : "true" },
    h(
      "dt",
      { class: "mono" },
      one.kind === "CALLER" && h("span", { class: "tag" }, "caller"),
      spaced(one.mask),
    ),
    h(
      "dd",
      {},
      h("span", { class: "mono" }, one.handler),
      !one.enabled && " (switched off)",
      h(
        "span",
        { class: "count" },
        [one.auth, one.fallback && `else ${one.fallback}`].filter(Boolean).join(", "),
      ),
    ),
  );

const entry = (one) => h("div", {}, h("dt", { class: "mono" }, one.keys), h("dd", {}, one.text));

/** The identity of an IVR: "8000" or "label/8000". */
export const address = (ivr) => (ivr.pbx ? `${ivr.pbx}/${ivr.number}` : ivr.number);
