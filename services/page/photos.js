// Photos of one thing, as they are brought: dropped, pasted or chosen, each shown, each removable.

import { byId, element, icon, unseen } from "./dom.js";
import { drawn, picturesOf } from "./pictures.js";

const MOST = 10;

const dialog = byId("teach");
const chooser = byId("photos");
const list = byId("previews");
const zone = byId("drop");
let photos = [];

export const broughtPhotos = () => photos;

export function clearPhotos() {
  photos = [];
  show();
}

// `tell` is called with a sentence about what changed.
export function watchPhotos(tell) {
  byId("choose").addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    add([...chooser.files], tell);
    chooser.value = "";
  });
  dialog.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  dialog.addEventListener("dragleave", () => zone.classList.remove("over"));
  dialog.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (!chooser.disabled) add(picturesOf(event.dataTransfer), tell);
  });
  dialog.addEventListener("paste", (event) => {
    if (!chooser.disabled) add(picturesOf(event.clipboardData), tell);
  });
}

function add(files, tell) {
  if (files.length === 0) return;
  const fitting = files.slice(0, MOST - photos.length);
  photos = [...photos, ...fitting];
  show();
  const left = files.length - fitting.length;
  tell(left ? `${MOST} photos are the most; ${left} left out.` : "");
}

// Those that stay keep their picture: it is not drawn again.
function show() {
  const made = new Map([...list.children].map((item) => [item.photo, item]));
  list.replaceChildren(...photos.map((photo) => made.get(photo) ?? preview(photo)));
  zone.classList.toggle("some", photos.length > 0);
  byId("choose").disabled = photos.length >= MOST;
}

function preview(photo) {
  const remove = element(
    "button",
    { type: "button", title: "Remove", onclick: () => removePhoto(photo) },
    icon("no"),
    unseen(`Remove ${photo.name}`),
  );
  const item = element("li", {}, drawn(photo, photo.name), remove);
  item.photo = photo;
  return item;
}

function removePhoto(photo) {
  const at = photos.indexOf(photo);
  photos = photos.filter((one) => one !== photo);
  show();
  const next = list.children[Math.min(at, photos.length - 1)];
  (next?.querySelector("button") ?? byId("choose")).focus();
}
