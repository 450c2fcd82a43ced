// What a person should know: a version that is on its way, could not be opened or took over; and
// what came of a click, for a while.

import { byId, element, fill } from "./dom.js";

const A_WHILE = 5_000; // milliseconds, and as long again for each 100 characters
let fading = 0;

export function say(words) {
  clearTimeout(fading);
  const toast = byId("said");
  toast.replaceChildren(element("p", {}, words));
  fading = setTimeout(() => toast.replaceChildren(), A_WHILE * (1 + words.length / 100));
}

export function showSwap({ swap, version }) {
  const coming = swap.version ? `Version ${swap.version}` : "The next version";
  const serving = `version ${version} goes on answering`;
  const words = {
    loading: `${coming} is being loaded; ${serving} until then.`,
    failed: `${coming} could not be loaded; ${serving}. ${swap.detail}`,
  }[swap.state];
  fill(byId("swap"), words ? element("p", {}, words) : null);
}

export function showNewer(version) {
  const dismiss = element("button", { type: "button", onclick: hideNewer }, "Dismiss");
  fill(byId("newer"), element("p", {}, `Version ${version} now answers.`), dismiss);
}

export function hideNewer() {
  fill(byId("newer"));
}
