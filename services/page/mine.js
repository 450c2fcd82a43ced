// One concept of one's own: its photos, what can be done with it, and how to forget it.

import { forget } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, element, fill } from "./dom.js";
import { openTeach } from "./teach.js";
import { count, day } from "./words.js";

const dialog = byId("mine");
const sure = byId("sure");
const fault = byId("mine-fault");
let shown = null;

// `use` gets a concept to put into the query, `forgotten` one that is no more.
export function watchMine(use, forgotten) {
  byId("mine-use").addEventListener("click", () => {
    dialog.close();
    use(shown);
  });
  byId("mine-add").addEventListener("click", () => {
    dialog.close();
    openTeach(shown);
  });
  byId("mine-forget").addEventListener("click", () => ask(true));
  byId("keep").addEventListener("click", () => ask(false));
  byId("forget").addEventListener("click", async () => {
    try {
      await forget(shown.name);
    } catch (problem) {
      if (problem.status !== 404) return fill(fault, problem.message); // gone is what was wanted
    }
    dialog.close();
    forgotten(shown);
  });
}

export function openMine(concept) {
  shown = concept;
  const { name, noun, photos, created, problem } = concept;
  byId("mine-title").textContent = name;
  byId("mine-says").textContent = `${noun} · ${count(photos.length, "photo")} · taught on ${day(created)}`;
  const pictures = photos.map((src, at) =>
    element("li", {}, element("img", { src, alt: `Photo ${at + 1}`, width: 120, height: 120 })),
  );
  fill(byId("mine-photos"), ...pictures);
  fill(byId("mine-problem"), problem ? `It cannot be used now: ${problem}` : null);
  fill(fault);
  ask(false, { isFirst: true });
  openDialog(dialog);
}

function ask(isSure, { isFirst = false } = {}) {
  sure.hidden = !isSure;
  byId("mine-actions").hidden = isSure;
  if (!isFirst) byId(isSure ? "keep" : "mine-forget").focus();
}
