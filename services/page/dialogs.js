// Native dialogs: Escape, the backdrop and every [data-close] close them; the focus goes back to
// where it was.

export function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
}

export function watchDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", ({ target }) => {
      const outside = target === dialog && !dialog.classList.contains("keeps"); // the backdrop
      if (outside || target.closest("[data-close]")) dialog.close();
    });
  }
}
