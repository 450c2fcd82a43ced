// The box: words, or a picture in their place; a concept's name goes in where the caret is.

import { byId, element, fill, icon, unseen } from "./dom.js";
import { drawn, keepPicture, keptPicture, picturesOf } from "./pictures.js";
import { byWords, NO_PICTURE } from "./state.js";

const box = byId("query");
const chooser = byId("picture");
let suggested = ""; // an example that the page put in, and nobody has touched

export const words = () => box.value.trim();

// `ask` gets what is different: {query, like, picture}, or {} for the same once more.
export function watchBox(ask) {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(words() ? { ...NO_PICTURE, query: words() } : {});
  });
  box.addEventListener("input", () => (suggested = ""));
  byId("by-picture").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    searchBy(chooser.files[0], ask);
    chooser.value = ""; // the same file may be chosen again
  });
  byId("subject").addEventListener("click", ({ target }) => {
    if (!target.closest("button")) return;
    ask(NO_PICTURE);
    box.focus();
  });
  watchDrops((file) => searchBy(file, ask));
}

function searchBy(file, ask) {
  if (file) ask({ ...NO_PICTURE, picture: keepPicture(file) });
}

// A picture that is dropped or pasted anywhere, unless a dialog is open, which has its own.
function watchDrops(use) {
  const taken = (event) => event.defaultPrevented || document.querySelector("dialog[open]");
  addEventListener("paste", (event) => {
    const [file] = picturesOf(event.clipboardData);
    if (file && !taken(event)) use(file);
  });
  addEventListener("dragover", (event) => {
    if (taken(event) || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (taken(event)) return;
    if (event.dataTransfer.types.includes("Files")) event.preventDefault(); // or it would be opened
    const [file] = picturesOf(event.dataTransfer);
    if (file) use(file);
  });
}

export function showBox(state) {
  const isWords = byWords(state);
  box.value = isWords ? state.query : "";
  box.required = isWords;
  box.placeholder = isWords ? box.dataset.placeholder : "or describe it in words";
  fill(byId("subject"), ...(isWords ? [] : subject(state)));
}

export function suggest(text) {
  suggested = text;
}

function subject({ like, picture }) {
  const words = like ? "Like this one" : "By your picture";
  const shown = like
    ? element("img", { src: `/images/${encodeURIComponent(like)}`, alt: "", width: 34, height: 34 })
    : drawn(keptPicture(picture), "Your picture");
  const name = `Stop searching ${like ? "for more like it" : "by your picture"}`;
  const attributes = { type: "button", class: "icon-button", title: name };
  const back = element("button", attributes, icon("no"), unseen(name));
  return [shown, element("span", { class: "says" }, words), back];
}

// Spaces keep it apart from the words beside it.
export function insertConcept(name) {
  if (suggested && box.value === suggested) box.value = "";
  suggested = "";
  const [start, end] = [box.selectionStart, box.selectionEnd];
  const [before, after] = [box.value.slice(0, start), box.value.slice(end)];
  const [left, right] = [/\S$/.test(before) ? " " : "", /^\S/.test(after) ? " " : ""];
  box.focus();
  box.setRangeText(`${left}{${name}}${right || (after ? "" : " ")}`, start, end, "end");
}
