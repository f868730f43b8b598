"use strict";

// Live parts of a page: <div data-live="/log/stream">. Each message from the server is HTML with one or more elements. An
// element whose id exists in the page replaces that one; others are inserted at the front of the live part, which keeps
// at most data-live-most of them (100).
(() => {
  const open = new Map();
  for (const mark of document.querySelectorAll("[data-live-mark]")) mark.hidden = false; // "Live" is true only with this script

  const take = (part, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const element of [...template.content.children]) {
      if (element.dataset.liveNext) part.dataset.live = element.dataset.liveNext;
      const present = element.id && document.getElementById(element.id);
      if (present?.isEqualNode(element)) continue; // keeps focus and input
      if (present) present.replaceWith(element);
      else part.prepend(element);
      window.htmx?.process(element);
      element.dispatchEvent(new CustomEvent("live:arrived", { bubbles: true }));
    }
    const most = Number(part.dataset.liveMost || 100);
    while (part.children.length > most) part.lastElementChild.remove();
    if (!part.isConnected) update(); // it was replaced by an element with another address, or none
  };

  const follow = (part) => {
    const address = part.dataset.live;
    const source = new EventSource(address);
    source.addEventListener("open", () => part.removeAttribute("data-live-lost"));
    source.addEventListener("error", () => {
      part.setAttribute("data-live-lost", "");
      if (part.dataset.live === address || open.get(part) !== source) return;
      unfollow(part); // the browser would reconnect to the old address
      setTimeout(update, 1000);
    });
    source.addEventListener("message", (event) => take(part, event.data));
    open.set(part, source);
  };

  const unfollow = (part) => {
    open.get(part).close();
    open.delete(part);
  };

  // A hidden tab keeps no connection: a browser opens only six to one server.
  const update = () => {
    const wanted = document.hidden ? [] : [...document.querySelectorAll("[data-live]:not([data-live-paused])")];
    for (const part of [...open.keys()]) if (!wanted.includes(part)) unfollow(part);
    for (const part of wanted) if (!open.has(part)) follow(part);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-live-pause]");
    if (!button) return;
    const paused = document.getElementById(button.dataset.livePause).toggleAttribute("data-live-paused");
    button.setAttribute("aria-pressed", String(paused));
    update();
  });

  document.addEventListener("visibilitychange", update);
  document.addEventListener("htmx:afterSettle", update);
  window.addEventListener("pagehide", () => [...open.keys()].forEach(unfollow));
  window.addEventListener("pageshow", update);
  update();
})();
