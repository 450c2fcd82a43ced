// Why a product was found: what each word did, whose wishes are near, which concepts took part.

import { bar } from "./bars.js";
import { openDialog } from "./dialogs.js";
import { byId, element, fill, own } from "./dom.js";
import { change, count } from "./words.js";

const MOST_WORDS = 8;
let asked = null; // the hit whose reasons come last

// `explain` gets the hit again, with its `why`.
export async function showWhy(hit, explain) {
  asked = hit;
  const picture = { src: hit.image_url, alt: "", width: 96, height: 96 };
  fill(byId("why-hit"), element("img", picture), element("p", { dir: "auto" }, hit.title));
  fill(byId("why-says"), element("p", { class: "waiting" }, "Asking why…"));
  openDialog(byId("why"));
  let says;
  try {
    says = reasons((await explain(hit)).why);
  } catch (problem) {
    says = [element("p", { class: "fault" }, problem.message)];
  }
  if (asked === hit) fill(byId("why-says"), ...says);
}

function reasons({ words = [], wishes = [], concepts = [] }) {
  const most = Math.max(...[...words, ...concepts].map(({ share }) => Math.abs(share)), 1e-6);
  const parts = [...wordsPart(words, most), ...conceptsPart(concepts, most), ...wishesPart(wishes)];
  return parts.length ? parts : [element("p", {}, "There is no more to it than likeness.")];
}

// `share` is a difference of cosines; it is below 0 for a word that leads away from this picture.
function wordsPart(words, most) {
  if (words.length === 0) return [];
  const strongest = [...words].sort((one, other) => Math.abs(other.share) - Math.abs(one.share));
  const rows = strongest
    .slice(0, MOST_WORDS)
    .map(({ word, share }) => bar(own(word), share / most, change(share), share < 0 && "against"));
  const rest = words.length - rows.length;
  const left = rest > 0 ? ` ${count(rest, "other word")} did less.` : "";
  return [
    element("h3", {}, "What your words did"),
    element("p", { class: "aside" }, `How much nearer each brings this picture.${left}`),
    element("ul", { class: "bars" }, ...rows),
  ];
}

function conceptsPart(concepts, most) {
  if (concepts.length === 0) return [];
  const rows = concepts.map(({ name, share }) =>
    bar(own(name), share / most, change(share), share < 0 ? "against" : "champion"),
  );
  return [
    element("h3", {}, "What is yours in it"),
    element("p", { class: "aside" }, "How much nearer than any other thing of its kind."),
    element("ul", { class: "bars" }, ...rows),
  ];
}

function wishesPart(wishes) {
  if (wishes.length === 0) return [];
  const quotes = wishes.map(({ text }) => element("li", {}, element("q", { dir: "auto" }, text)));
  const heading = element("h3", {}, "Wishes it was taught with that come near");
  return [heading, element("ul", { class: "wishes" }, ...quotes)];
}
