// Rule 1: the password goes to the server in a header that no form and no other page can send.
// Rule 2: it is not kept.

import { at, say } from "./dom.js";
import { post, reasonOf } from "./wire.js";

async function signIn(event) {
  event.preventDefault();
  say(at("trouble"), "");
  const password = encodeURIComponent(at("password").value.trim());
  try {
    await post("login", {}, { Authorization: `Bearer ${password}` });
  } catch (error) {
    say(at("trouble"), reasonOf(error));
    at("password").select();
    return;
  }
  location.reload();
}

at("login").addEventListener("submit", signIn);
