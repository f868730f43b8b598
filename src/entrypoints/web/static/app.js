"use strict";

// What the pages do beyond links and forms. They work without it.
(() => {
  const notice = () => document.getElementById("notice");

  const say = (sentence) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    const box = document.createElement("div");
    box.className = "notice-in bad";
    box.append(paragraph);
    notice().replaceChildren(box);
  };

  const close = (details, returnFocus) => {
    details.open = false;
    if (returnFocus) details.querySelector("summary").focus();
  };

  const openMenus = () => document.querySelectorAll("details.more[open], details.you[open]");

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-dismiss]")) notice().replaceChildren();
    for (const details of openMenus()) if (!details.contains(event.target)) close(details, false);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      notice().replaceChildren();
      for (const details of openMenus()) close(details, details.contains(document.activeElement));
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
      event.target.form?.requestSubmit();
    }
  });

  document.addEventListener("htmx:sendError", () => say("Postlog does not answer. Is it running? Try again."));
  document.addEventListener("htmx:timeout", () => say("Postlog takes too long to answer. Try again."));
})();
