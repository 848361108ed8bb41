// Follows the namespace: it takes each new state from the server and lays it over the page.
"use strict";
(() => {
  const body = document.body, prefix = body.dataset.prefix;
  const live = () => document.getElementById("live");
  let frozen = false, last = null, picked = -1, plots = new Map();

  // Parts that belong to the reader stay as they are: open details, typed text, drawn charts, and the
  // result of an action.
  const keep = {
    ignoreActiveValue: true,
    callbacks: {
      beforeNodeMorphed(old) {
        return !(old.nodeType === 1 && (old.classList.contains("plot") || old.hasAttribute("data-keep") || old.id === "freeze"));
      },
      beforeNodeRemoved(node) {
        return !(node.nodeType === 1 && node.hasAttribute("data-stay"));
      },
      beforeAttributeUpdated(name, node) {
        return !(name === "open" && node.tagName === "DETAILS");
      },
    },
  };

  function lay(html) {
    const next = new DOMParser().parseFromString(html, "text/html").getElementById("live");
    if (!next) return;
    Idiomorph.morph(live(), next, keep);
    pick(picked, false);
    draw();
  }

  // The stream of states. It connects again by itself; a page that hears nothing says so.
  let heard = Date.now();
  function follow() {
    const events = new EventSource(body.dataset.events);
    events.addEventListener("view", (e) => {
      heard = Date.now();
      body.classList.remove("lost");
      last = e.data;
      if (!frozen) lay(last);
    });
    events.onopen = () => { heard = Date.now(); };
    events.onerror = () => {
      body.classList.add("lost");
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
    };
    addEventListener("pagehide", () => events.close(), { once: true });
  }
  addEventListener("pageshow", (e) => { if (e.persisted) follow(); });
  setInterval(() => body.classList.toggle("lost", Date.now() - heard > 25000), 5000);

  // Charts: a figure has its data as JSON.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (t, length) => new Date(t * 1000).toISOString().slice(11, 11 + length);
  const clocks = (u, splits) => splits.map((t) => clock(t, u.data[0].at(-1) - u.data[0][0] > 900 ? 5 : 8));
  const steps = [10, 30, 60, 120, 300, 600, 900, 1800, 3600];
  const amount = (u, values) => values.map((v) => v >= 1e6 ? v / 1e6 + "M" : v >= 1e4 ? v / 1e3 + "k" : v);
  function options(data, width) {
    const axis = { stroke: colour("--muted"), font: "11px system-ui", grid: { stroke: colour("--soft"), width: 1 }, ticks: { show: false } };
    const hues = ["--h0", "--h2", "--bad"];
    return {
      width, height: 130, cursor: { show: false }, legend: { show: false }, padding: [10, 30, 0, 0],
      scales: { y: { range: (u, low, high) => [0, high > 0 ? high * 1.15 : 1] } },
      axes: [{ ...axis, size: 24, space: 64, incrs: steps, values: clocks }, { ...axis, size: 46, values: amount }],
      series: [{}, ...data.labels.map((label, i) => ({
        label, stroke: colour(hues[i % hues.length]), width: 1.6, points: { show: data.lines[0].length < 3 }, dash: i === 1 ? [6, 3] : i === 2 ? [2, 3] : undefined,
      }))],
    };
  }
  function draw(again) {
    for (const [host, plot] of plots) {
      if (again || !host.isConnected) { plot.chart.destroy(); plots.delete(host); }
    }
    for (const figure of document.querySelectorAll("[data-chart]")) {
      const host = figure.querySelector(".plot"), text = figure.dataset.chart, known = plots.get(host);
      if (known && known.text === text) continue;
      const data = JSON.parse(text);
      if (data.lines[0].length === 0) continue;
      if (known) { known.chart.setData(data.lines); known.text = text; continue; }
      host.textContent = "";
      plots.set(host, { text, chart: new uPlot(options(data, host.clientWidth || 300), data.lines, host) });
    }
  }
  let resized;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => draw(true), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));

  // Freeze, theme, help.
  function freeze() {
    const button = document.getElementById("freeze");
    frozen = !frozen;
    button.setAttribute("aria-pressed", frozen);
    button.textContent = frozen ? "Frozen" : "Freeze";
    if (!frozen && last) lay(last);
  }
  function theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = "dq_theme=" + root.dataset.theme + "; path=" + prefix + "/; max-age=31536000; samesite=strict";
    draw(true);
  }
  const help = () => document.getElementById("help").showModal();
  const buttons = { freeze, theme, "help-open": help };
  document.addEventListener("click", (e) => {
    const button = e.target.closest("button[id]");
    if (button && buttons[button.id]) buttons[button.id]();
  });

  // A form of an action is sent once.
  document.addEventListener("submit", (e) => {
    if (e.target.method === "post") setTimeout(() => e.target.querySelectorAll("button").forEach((b) => { b.disabled = true; }));
  });

  // Keys.
  const rows = () => [...document.querySelectorAll("tr[data-row]")];
  function pick(n, scroll = true) {
    const all = rows();
    picked = all.length ? Math.max(-1, Math.min(n, all.length - 1)) : -1;
    all.forEach((row, i) => row.classList.toggle("picked", i === picked));
    if (scroll && picked >= 0) {
      all[picked].scrollIntoView({ block: "nearest" });
      all[picked].querySelector("a.open").focus({ preventScroll: true });
    }
  }
  const pages = { f: "/", q: "/queues", w: "/workers", d: "/dead", e: "/errors" };
  let going = false;
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
    const field = e.target.closest("input, textarea, select");
    if (field) { if (e.key === "Escape") field.blur(); return; }
    if (going) {
      going = false;
      if (pages[e.key]) location.assign(prefix + pages[e.key]);
      return;
    }
    switch (e.key) {
      case "g": going = true; setTimeout(() => { going = false; }, 1500); return;
      case "/": { const filter = document.getElementById("filter"); if (filter) { filter.focus(); e.preventDefault(); } return; }
      case "j": return pick(picked + 1);
      case "k": return pick(Math.max(0, picked - 1));
      case "p": return freeze();
      case "?": return help();
      case "Enter": {
        const open = rows()[picked]?.querySelector("a.open");
        if (open && document.activeElement === document.body) open.click();
      }
    }
  });

  draw();
  follow();
})();
