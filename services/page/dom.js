// Elements are only ever made here, and texts only ever become text nodes: a title that looks like
// markup stays a title.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// element("a", {href: "/"}, "text", otherElement); null and undefined are left out, so that callers
// can write what is there or not in one expression.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Shows an element with this content, or hides it where there is none.
export function fill(target, ...children) {
  const content = children.filter((child) => child != null);
  target.replaceChildren(...content);
  target.hidden = content.length === 0;
}

export const unseen = (text) => element("span", { class: "unseen" }, text);

// What somebody else wrote, in its own direction, set apart from the words around it.
export const own = (text) => element("bdi", { class: "own-words" }, text);

export function icon(name) {
  const [drawn, use] = ["svg", "use"].map((one) => document.createElementNS(SVG, one));
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `/page/icons.svg#${name}`);
  drawn.append(use);
  return drawn;
}
