// Keeps an open page up to date: the stream says that something changed, and the live part is fetched
// anew, unless the reader holds it, has selected something in it or does not look. No words are in here.
(() => {
  "use strict";
  const live = () => document.querySelector("#live[data-live]");
  const pulse = document.getElementById("pulse");
  const hold = document.getElementById("hold");
  const away = document.getElementById("away");
  const lost = document.getElementById("lost");
  let held = false;
  let stale = false;

  // What is being chosen must not move under the hand.
  function frozen() {
    const part = live();
    if (!part) return true;
    // A box that moves between a key's press and its release is never ticked.
    const choosing = "[data-select]:checked, [data-select]:focus-visible, [data-select-all]:focus-visible, "
      + "dialog[open], [data-freeze]:focus-within, input:not([type=checkbox]):focus, textarea:focus, select:focus";
    if (part.querySelector(choosing)) return true;
    const chosen = document.getSelection();
    return Boolean(chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  }

  function refresh() {
    const still = frozen();
    pulse?.querySelector(".frozen")?.toggleAttribute("hidden", !(stale && still && !held));
    if (!stale || held || still || document.hidden) return;
    stale = false;
    htmx.trigger(live(), "refresh");
  }

  function changed() {
    if (away) away.hidden = true;
    if (lost) lost.hidden = true;
    stale = true;
    refresh();
  }

  if (pulse && live()) {
    pulse.hidden = false;
    pulse.addEventListener("hello", changed);
    pulse.addEventListener("changed", changed);
    pulse.addEventListener("away", () => { away.hidden = false; });
    // Something may have been selected since the new part was asked for.
    document.addEventListener("htmx:before:swap", (event) => {
      if (!held && !frozen()) return;
      event.preventDefault();
      stale = true;
      setTimeout(refresh);
    });
    document.addEventListener("htmx:sse:error", () => { lost.hidden = false; });
    document.addEventListener("htmx:sse:after:connection", (event) => {
      if (event.detail.connection.status < 400) lost.hidden = true;
    });
    hold.addEventListener("click", () => {
      held = !held;
      hold.setAttribute("aria-pressed", String(held));
      pulse.classList.toggle("held", held);
      refresh();
    });
    for (const name of ["change", "focusout", "selectionchange", "visibilitychange", "close"]) {
      document.addEventListener(name, () => setTimeout(refresh), true);
    }
  }

  // One box for all boxes of its form or table.
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!box.matches?.("[data-select-all]")) return;
    for (const one of box.closest("form").querySelectorAll("[data-select]")) one.checked = box.checked;
  });

  // Copying needs HTTPS in a browser's newer way, so the old one stands in.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
    const closer = event.target.closest?.("[data-closes]");
    if (closer) closer.closest("dialog")?.close();
  });

  // "/" goes to the filter, j and k through the rows, "?" says so.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      const filter = document.querySelector("[data-filter]");
      if (filter) { event.preventDefault(); filter.focus(); }
    } else if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("#live tbody a, #live [data-row] a")];
      if (!rows.length) return;
      const at = rows.indexOf(document.activeElement);
      const next = event.key === "j" ? Math.min(at + 1, rows.length - 1) : Math.max(at - 1, 0);
      rows[next].focus();
    } else if (event.key === "?") {
      document.getElementById("keys")?.showModal();
    }
  });
})();
