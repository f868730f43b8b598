"use strict";

// Parts of a page that the server keeps up to date: <div data-live="/log/stream">. Each message is HTML of this site's
// own making, with the elements that it brings. An element whose id the page has takes that one's place; others are put
// at the front of the live part, which keeps at most data-live-most of them (100).
(() => {
  const open = new Map();
  for (const mark of document.querySelectorAll("[data-live-mark]")) mark.hidden = false; // says "Live": true only with this

  const take = (part, html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    for (const element of [...template.content.children]) {
      if (element.dataset.liveNext) part.dataset.live = element.dataset.liveNext;
      const present = element.id && document.getElementById(element.id);
      if (present?.isEqualNode(element)) continue; // a focus in it, or what was typed there, stays
      if (present) present.replaceWith(element);
      else part.prepend(element);
      window.htmx?.process(element);
      element.dispatchEvent(new CustomEvent("live:arrived", { bubbles: true }));
    }
    const most = Number(part.dataset.liveMost || 100);
    while (part.children.length > most) part.lastElementChild.remove();
    if (!part.isConnected) look(); // its place was taken by what follows nothing any more, or something else
  };

  const follow = (part) => {
    const address = part.dataset.live;
    const source = new EventSource(address);
    source.addEventListener("open", () => part.removeAttribute("data-live-lost"));
    source.addEventListener("error", () => {
      part.setAttribute("data-live-lost", "");
      if (part.dataset.live === address || open.get(part) !== source) return;
      unfollow(part); // the browser would begin where this connection began
      setTimeout(look, 1000);
    });
    source.addEventListener("message", (event) => take(part, event.data));
    open.set(part, source);
  };

  const unfollow = (part) => {
    open.get(part).close();
    open.delete(part);
  };

  // A hidden tab holds no connection: a browser has only six of them to one server.
  const look = () => {
    const wanted = document.hidden ? [] : [...document.querySelectorAll("[data-live]:not([data-live-paused])")];
    for (const part of [...open.keys()]) if (!wanted.includes(part)) unfollow(part);
    for (const part of wanted) if (!open.has(part)) follow(part);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-live-pause]");
    if (!button) return;
    const paused = document.getElementById(button.dataset.livePause).toggleAttribute("data-live-paused");
    button.setAttribute("aria-pressed", String(paused));
    look();
  });

  document.addEventListener("visibilitychange", look);
  document.addEventListener("htmx:afterSettle", look);
  window.addEventListener("pagehide", () => [...open.keys()].forEach(unfollow));
  window.addEventListener("pageshow", look);
  look();
})();
