// Rule 1: creates the views, and connects them to the server and the keyboard; it shows only the
//         state of the connection.
// Rule 2: a short cut works where no text is being typed, and can be switched off (WCAG 2.1.4).

import { announce, at, say } from "./dom.js";
import { Faults } from "./faults.js";
import { Flow } from "./flow.js";
import { Ladder } from "./ladder.js";
import { List } from "./list.js";
import { followLinks, showPart } from "./parts.js";
import { KEYS, Phone } from "./phone.js";
import { Service } from "./service.js";
import { isMuted, mute } from "./sounds.js";
import { Store } from "./store.js";
import { Totals } from "./totals.js";
import { follow, post } from "./wire.js";

const store = new Store();
const phone = new Phone(store);
for (const View of [Service, Ladder, List, Faults, Totals, Flow]) new View(store);
const NOTICES = {
  connected: "",
  lost: "The console’s server does not answer. The data may be old; trying again …",
  "signed out": "You are signed out. Reload this page to sign in.",
  restarted: "This console has ended. Open the URL that receiver dev printed after its restart.",
};

function load(state) {
  const live = state.mode === "live";
  document.body.dataset.mode = state.mode;
  for (const one of document.querySelectorAll("[data-dev]")) one.hidden = live;
  for (const one of document.querySelectorAll("[data-live]")) one.hidden = !live;
  if (at("main").hidden) showPart(live ? "calls" : "phone");
  at("main").hidden = false;
  store.load(state);
  const linked = decodeURIComponent(location.hash.match(/^#call=(.+)/)?.[1] ?? "");
  if (!store.open) store.select(linked || store.mine || state.calls[0]?.id || null);
}

let was = null;

function report(connection) {
  at("connection").dataset.state = connection;
  say(at("connection"), connection);
  const ended = connection === "signed out" && document.body.dataset.mode === "dev";
  say(at("notice"), NOTICES[ended ? "restarted" : connection]);
  if (was === "lost" && connection === "connected") announce("Connected again.");
  was = connection;
}

function remember() {
  if (store.open) history.replaceState(null, "", `#call=${encodeURIComponent(store.open)}`);
}

function silence(on) {
  mute(on);
  at("mute").setAttribute("aria-pressed", on);
}

async function signOut() {
  try {
    await post("logout", {});
  } finally {
    location.reload();
  }
}

function focusCalls(id) {
  showPart("calls");
  at(id).focus();
}

const help = () => at("help").showModal();
const dev = (work) => () => document.body.dataset.mode === "dev" && work();
const SHORTCUTS = {
  c: dev(() => phone.dial()),
  h: dev(() => phone.hangUp()),
  m: dev(() => silence(!isMuted())),
  "/": () => focusCalls("filter"),
  l: () => focusCalls("list"),
  "?": help,
  ...Object.fromEntries(KEYS.map((key) => [key, dev(() => phone.press(key))])),
};

const TYPING = "input:not([type=checkbox], [type=radio], [type=range]), select, textarea";

function shortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (at("help").open || event.target.closest?.(TYPING)) return;
  if (!at("shortcuts").checked || !Object.hasOwn(SHORTCUTS, event.key)) return;
  event.preventDefault();
  if (!event.repeat) SHORTCUTS[event.key]();
}

document.addEventListener("keydown", shortcut);
at("mute").addEventListener("click", () => silence(!isMuted()));
at("logout").addEventListener("click", signOut);
at("help-open").addEventListener("click", help);
store.on(["open"], remember);
followLinks();
silence(isMuted());
follow(load, (event) => store.apply(event), report);
