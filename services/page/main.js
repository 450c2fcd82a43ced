// Ties the page together: a state in, one consistent screen out.

import { showAbout } from "./about.js";
import { consistentAnswers } from "./answers.js";
import { getModel, Problem } from "./api.js";
import { byId, element, fill } from "./dom.js";
import { showFilters, watchFilters } from "./filters.js";
import { hideNewer, showNewer, showSwap } from "./notices.js";
import { showAnswers, showInvitation, showLoading, showProblem } from "./results.js";
import { address, NO_FILTERS, readState, writeState } from "./state.js";

const POLL = 15_000; // milliseconds between two looks at the model
const query = byId("query");

let state = readState();
let shown = null; // the description of the version that the screen shows
let running = new AbortController();
let gone = false; // the service did not answer the last search

// Runs the state's search; a run that is no longer the last one changes nothing.
async function run(known = shown) {
  running.abort();
  const { signal } = (running = new AbortController());
  showLoading();
  if (shown) showFilters(state, shown.catalogue);
  try {
    known ??= await getModel(signal);
    startWithAnExample(known);
    if (!state.query) return show(known, []);
    const { described, answers } = await consistentAnswers(state, known, signal);
    if (!signal.aborted) show(described, answers);
  } catch (error) {
    if (signal.aborted) return;
    gone = error.status === 0;
    if (known && !shown) describe(known);
    if (!(error instanceof Problem)) console.error(error);
    showProblem(error, () => run());
  }
}

function startWithAnExample({ examples }) {
  if (state.query || examples.length === 0) return;
  state = { ...state, query: examples[0] };
  writeState(state, { replace: true }); // or "back" would lead to the same screen
  query.value = state.query;
}

function show(described, answers) {
  gone = false;
  describe(described);
  document.title = state.query ? `${state.query} · Kindred` : "Kindred";
  if (answers.length) showAnswers(state, answers, () => change(NO_FILTERS));
  else showInvitation();
}

function describe(described) {
  // Only what is new is made anew: buttons that stay keep the focus.
  if (shown?.bundle_sha256 !== described.bundle_sha256) {
    if (shown) showNewer(described.version);
    showAbout(described);
    fill(byId("examples"), ...described.examples.map(exampleButton));
  }
  shown = described;
  showSwap(described);
  showFilters(state, described.catalogue);
  markExample();
}

function exampleButton(text) {
  return element("button", { type: "button", onclick: () => ask(text) }, text);
}

function markExample() {
  for (const button of byId("examples").children) {
    button.setAttribute("aria-pressed", button.textContent === state.query);
  }
}

function ask(text) {
  query.value = text;
  change({});
}

// Whatever changes, what the box says is asked for too: the screen never answers another question.
function change(difference) {
  state = { ...state, ...difference, query: query.value.trim() || state.query };
  query.value = state.query;
  writeState(state);
  hideNewer();
  run();
}

async function poll() {
  if (document.hidden) return;
  let described;
  try {
    described = await getModel();
  } catch {
    return; // a search will tell; a service that restarts need not disturb who looks at pictures
  }
  // One that took over is shown together with its answers, never before them.
  if (gone || (shown && described.bundle_sha256 !== shown.bundle_sha256)) run(described);
  else if (shown) showSwap(described);
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(query.value);
});
watchFilters(change);
addEventListener("popstate", () => {
  const asked = readState();
  if (address(asked) === address(state)) return; // only a jump within the page
  state = asked;
  query.value = state.query;
  hideNewer();
  run();
});
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL);
query.value = state.query;
run();
