"use strict";

// Adds to links and forms; the pages work without it.
(() => {
  const notice = () => document.getElementById("notice");

  const showError = (sentence) => {
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

  // The buttons beside the slider of the time machine, and the versions in the timeline, move the slider too.
  const slider = () => document.getElementById("slider");

  const move = (version) => {
    slider().value = version;
    slider().dispatchEvent(new Event("input", { bubbles: true }));
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-version], a[data-step]");
    if (!link || !slider() || !window.htmx || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    move(link.dataset.version ?? Number(slider().value) + Number(link.dataset.step));
    const moment = document.getElementById("moment");
    if (moment.getBoundingClientRect().bottom < 150) moment.scrollIntoView();
  });

  document.addEventListener("input", (event) => {
    if (event.target !== slider()) return;
    const { value, max, form } = slider();
    const text = `version ${Number(value).toLocaleString("en")} of ${Number(max).toLocaleString("en")}`;
    document.getElementById("machine-at").textContent = text;
    document.getElementById("machine-now").hidden = false;
    slider().setAttribute("aria-valuetext", text);
    for (const link of form.querySelectorAll("a[data-step]")) {
      const version = Math.min(Math.max(Number(value) + Number(link.dataset.step), 1), Number(max));
      link.href = `${form.getAttribute("action")}?version=${version}`;
    }
  });

  // The feed polls for newer posts. Failures are ignored and retried: the page itself is still correct.
  const NEWS_SECONDS = 5;

  const askForNews = async () => {
    const news = document.getElementById("news");
    if (!news || document.hidden) return;
    try {
      const answer = await fetch(news.dataset.ask);
      const html = answer.ok ? (await answer.text()).trim() : "";
      if (html && html !== news.innerHTML.trim()) news.innerHTML = html;
    } catch {}
  };

  setInterval(askForNews, NEWS_SECONDS * 1000);
  document.addEventListener("visibilitychange", askForNews);

  document.addEventListener("htmx:sendError", () => showError("Postlog does not respond. Is it running? Try again."));
  document.addEventListener("htmx:timeout", () => showError("Postlog takes too long to respond. Try again."));
})();
