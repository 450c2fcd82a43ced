// Where the service wants a key: asks for it once, however many calls wait, and then they go on.

import { signIn, signOut } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, fill } from "./dom.js";
import { whenLocked } from "./http.js";

const SIGNED_IN = "signed-in"; // the cookie is not for scripts to see
const dialog = byId("key-dialog");
const key = byId("key");
let waiting = null;

export function watchSignIn() {
  whenLocked(() => (waiting ??= askForKey().finally(() => (waiting = null))));
  const out = byId("sign-out");
  out.hidden = !localStorage.getItem(SIGNED_IN);
  out.addEventListener("click", async () => {
    await signOut().catch(() => {}); // a session that is no more is what was wanted
    localStorage.removeItem(SIGNED_IN);
    location.reload();
  });
}

function askForKey() {
  fill(byId("key-fault"));
  key.value = "";
  openDialog(dialog);
  return new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    const settle = (answer) => {
      controller.abort();
      resolve(answer);
    };
    dialog.addEventListener("close", () => settle(false), { signal });
    byId("key-form").addEventListener(
      "submit",
      async (event) => {
        event.preventDefault();
        try {
          await signIn(key.value.trim());
        } catch (problem) {
          fill(byId("key-fault"), problem.message);
          key.select();
          return;
        }
        localStorage.setItem(SIGNED_IN, "1");
        byId("sign-out").hidden = false;
        settle(true);
        dialog.close();
      },
      { signal },
    );
  });
}
