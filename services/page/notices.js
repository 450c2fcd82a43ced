// What a person should know about versions: one is on its way, could not be opened, or took over.

import { byId, element, fill } from "./dom.js";

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
