// Pictures that a person brought: files to search by, kept while the page is open, and how to show
// one. They are drawn: the policy lets no blob: be an image's address.

const SIDE = 192; // pixels of a drawn one
const kept = [];

// A number for the address; after a reload nothing is behind it any more.
export const keepPicture = (file) => kept.push(file);
export const keptPicture = (number) => (number == null ? undefined : kept[number - 1]);

export const isPicture = (file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name);
export const picturesOf = (transfer) => [...(transfer?.files ?? [])].filter(isPicture);

// A square of it; where the browser cannot read the format, the service may, and a letter stands in.
export function drawn(file, label) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  createImageBitmap(file).then(
    (bitmap) => cover(canvas, bitmap),
    () => canvas.classList.add("unreadable"),
  );
  return canvas;
}

function cover(canvas, bitmap) {
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, side, side, 0, 0, SIDE, SIDE);
  bitmap.close();
}
