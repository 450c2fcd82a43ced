// Ties the page together: a state in, one consistent screen out.

import { showAbout } from "./about.js";
import { consistentAnswers } from "./answers.js";
import { getModel, PAGE, search } from "./api.js";
import { insertConcept, showBox, suggest, watchBox, words } from "./asking.js";
import { watchDialogs } from "./dialogs.js";
import { byId } from "./dom.js";
import { markExample, showExamples } from "./examples.js";
import { showFilters, watchFilters } from "./filters.js";
import { Problem } from "./http.js";
import { hideNewer, showNewer, showSwap } from "./notices.js";
import { showMore, watchEnd } from "./paging.js";
import { showAnswers, showHits, showInvitation, showLoading, showProblem } from "./results.js";
import { loadShelf, watchShelf } from "./shelf.js";
import { watchSignIn } from "./signin.js";
import { address, byWords, isAsking, NO_FILTERS, NO_PICTURE, readState, writeState } from "./state.js";
import { showWhy } from "./why.js";

const POLL = 15_000; // milliseconds between two looks at the model
const FURTHEST = 800; // hits that the service skips at most
const MOST_AGAIN = 96; // hits that a version which takes over shows again at once

let state = readState();
let shown = null; // the description of the version that the screen shows
let answers = []; // what it found
let running = new AbortController();
let gone = false; // the service did not answer the last search

// Runs the state's search; a run that is no longer the last one changes nothing.
async function run(known = shown, k = PAGE) {
  running.abort();
  const { signal } = (running = new AbortController());
  showLoading();
  showMore({ isMore: false });
  if (shown) showFilters(state, shown.catalogue);
  try {
    known ??= await getModel(signal);
    startWithAnExample(known);
    if (!isAsking(state)) return show(known, [], k);
    const found = await consistentAnswers(state, known, signal, { k });
    if (!signal.aborted) show(found.described, found.answers, k);
  } catch (error) {
    if (signal.aborted) return;
    gone = error.status === 0;
    if (known && !shown) describe(known);
    if (!(error instanceof Problem)) console.error(error);
    showProblem(error, () => run());
  }
}

function startWithAnExample({ examples }) {
  if (isAsking(state) || examples.length === 0) return;
  state = { ...state, query: examples[0] };
  writeState(state, { replace: true }); // or "back" would lead to the same screen
  showBox(state);
  suggest(state.query);
}

function show(described, found, k) {
  gone = false;
  answers = found;
  describe(described);
  document.title = title();
  if (!answers.length) return showInvitation();
  showAnswers(state, answers, possible, () => change(NO_FILTERS));
  showMore({ shown: answers[0].hits.length, isMore: answers.some(({ hits }) => hits.length === k) });
}

function title() {
  if (!byWords(state)) return "Pictures alike · Kindred";
  return state.query ? `${state.query} · Kindred` : "Kindred";
}

function describe(described) {
  // Only what is new is made anew: buttons that stay keep the focus.
  if (shown?.bundle_sha256 !== described.bundle_sha256) {
    if (shown) showNewer(described.version);
    showExamples(described.examples, (query) => change({ ...NO_PICTURE, query }));
    loadShelf(); // another version may not have learned everything
  }
  showAbout(described);
  shown = described;
  showSwap(described);
  showFilters(state, described.catalogue);
  markExample(state.query);
}

// What one can do with the hits of an answer.
function possible({ model, hits }) {
  const shownIds = () => hits.map((hit) => hit.product_id);
  const isWords = byWords(state);
  return {
    like: lookAlike,
    why: isWords ? (hit) => showWhy(hit, (one) => explained(one, hits, model)) : null,
    feedback: isWords && shown.feedback ? { query: state.query, shown: shownIds } : null,
  };
}

function lookAlike({ product_id: like }) {
  change({ ...NO_PICTURE, like });
  scrollTo({ top: 0 });
}

async function explained(hit, hits, model) {
  const part = { model, k: 1, offset: hits.indexOf(hit), explain: true };
  const answer = await search(state, part);
  const [again] = answer.hits;
  if (again?.product_id === hit.product_id && answer.bundle_sha256 === shown.bundle_sha256) return again;
  throw new Problem("Another version answers by now. Search again, then ask why.");
}

async function more() {
  const { signal } = running;
  showMore({ isBusy: true });
  const offset = Math.max(...answers.map(({ hits }) => hits.length));
  try {
    const next = await consistentAnswers(state, shown, signal, { offset });
    if (signal.aborted) return;
    if (next.described.bundle_sha256 !== shown.bundle_sha256) return run(next.described);
    for (const [at, { hits }] of next.answers.entries()) answers[at].hits.push(...hits);
    showHits(answers, possible);
    const isMore = next.answers.some(({ hits }) => hits.length === PAGE) && offset < FURTHEST;
    showMore({ shown: answers[0].hits.length, isMore });
  } catch (error) {
    if (!signal.aborted) showMore({ isMore: true, fault: error.message });
  }
}

// Whatever changes, what the box says is asked for too: the screen never answers another question.
function change(difference) {
  const typed = words() ? { ...NO_PICTURE, query: words() } : {};
  state = { ...state, ...typed, ...difference };
  showBox(state);
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
  if (gone) run(described);
  else if (shown && described.bundle_sha256 !== shown.bundle_sha256) run(described, again());
  else if (shown) describe(described);
  loadShelf();
}

// As many as there were: nobody is thrown back to the top.
const again = () => Math.min(MOST_AGAIN, Math.max(PAGE, answers[0]?.hits.length ?? 0));

watchSignIn();
watchDialogs();
watchBox(change);
watchFilters(change);
watchShelf(insertConcept);
watchEnd(more);
byId("headline").addEventListener("click", () => byId("about").showModal());
addEventListener("popstate", () => {
  const asked = readState();
  if (address(asked) === address(state)) return; // only a jump within the page
  state = asked;
  showBox(state);
  hideNewer();
  run();
});
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL);
showBox(state);
run();
