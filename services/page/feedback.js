// "This one" and "not this": what a person meant, for those who train the next version.

import { giveFeedback } from "./api.js";
import { element, icon, unseen } from "./dom.js";
import { say } from "./notices.js";

const MOST = 200;

// `asked` has the query and, as a function, the products shown for it.
export function feedbackButtons(hit, asked) {
  const yes = button("yes", "This one", `${hit.title} is what I meant`);
  const no = button("no", "Not this", `${hit.title} is not what I meant`);
  yes.addEventListener("click", () => give([yes, no], { chosen: hit.product_id, rejected: [] }));
  no.addEventListener("click", () => give([no, yes], { chosen: null, rejected: [hit.product_id] }));
  return [yes, no];

  async function give([pressed, other], said) {
    if (pressed.ariaPressed === "true" || pressed.ariaDisabled === "true") return;
    pressed.ariaDisabled = other.ariaDisabled = "true"; // stays focusable
    try {
      await giveFeedback({ query: asked.query, shown: around(hit, asked.shown()), ...said });
    } catch (problem) {
      say(problem.message);
      return;
    } finally {
      pressed.ariaDisabled = other.ariaDisabled = "false";
    }
    pressed.ariaPressed = "true";
    other.ariaPressed = "false";
    say("Noted. The next version may learn from it.");
  }
}

// As many as the service takes, in their order, with those before and after the hit.
function around({ product_id }, shown) {
  const end = Math.max(MOST, shown.indexOf(product_id) + 2);
  return shown.slice(0, end).slice(-MOST);
}

function button(name, words, forEars) {
  const attributes = { type: "button", title: words, class: `icon-button ${name}`, "aria-pressed": "false" };
  return element("button", attributes, icon(name), unseen(forEars));
}
