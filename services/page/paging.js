// The next hits come when the end of the pictures is near; after some, only when asked for.

import { byId, fill } from "./dom.js";

const BY_ITSELF = 96; // hits: what is below the pictures has to stay within reach
const NEAR = "400px";

const button = byId("more");
let number = 0;

export function watchEnd(more) {
  button.addEventListener("click", () => isFree() && more());
  new IntersectionObserver(
    (seen) => seen.at(-1).isIntersecting && number < BY_ITSELF && isFree() && more(),
    { rootMargin: NEAR },
  ).observe(button);
}

const isFree = () => !button.hidden && button.getAttribute("aria-disabled") !== "true";

// Kept in place while it works, so that the focus stays.
export function showMore({ shown = number, isMore = true, isBusy = false, fault = "" }) {
  number = fault ? BY_ITSELF : shown; // after a fault, only when asked for
  button.hidden = !isMore;
  button.setAttribute("aria-disabled", isBusy);
  button.textContent = isBusy ? "Looking for more…" : fault ? "Try again" : "Show more";
  fill(byId("more-fault"), fault || null);
}
