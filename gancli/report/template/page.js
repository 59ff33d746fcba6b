"use strict";
(() => {
  const { moments, nimgs, tracks, values, live } = JSON.parse(document.getElementById("data").textContent);
  const folds = [...document.querySelectorAll("details")];
  let isInUse = () => false; // while the film plays or shows an earlier moment, a reload would be in the way
  (history.state?.open ?? []).forEach((open, i) => { if (folds[i]) folds[i].open = open; });
  if (live && Date.now() > 1000 * (live.written_s + live.patience_s)) reportSilence();
  else if (live) setInterval(reload, 1000 * live.reload_s);

  function reportSilence() { // the run was probably killed, so no later page will end the reloads
    const date = new Date(1000 * live.written_s).toLocaleString("sv"); // "2026-11-30 15:32:00" in local time
    document.getElementById("written").textContent = date.slice(0, 16);
    document.getElementById("silent").hidden = false;
  }

  function reload() {
    if (document.hidden || isInUse()) return;
    history.replaceState({ open: folds.map((fold) => fold.open) }, ""); // the browser keeps the scroll position
    location.reload();
  }

  if (moments.length < 2) return;
  const STEP_MS = 120;
  const [play, scrubber, said] = ["play", "scrubber", "moment"].map((id) => document.getElementById(id));
  const frames = document.querySelectorAll(".frame");
  const markers = document.querySelectorAll(".marker");
  const readings = document.querySelectorAll(".now");
  const shown = tracks.filter((track) => track.nimgs.length);
  shown.forEach((track, i) => track.frames.push(frames[i].src));
  let timer = 0;
  isInUse = () => timer || +scrubber.value < moments.length - 1;

  function show(place) {
    const { label, x } = moments[place];
    scrubber.value = place;
    scrubber.setAttribute("aria-valuetext", label);
    said.textContent = label;
    shown.forEach((track, i) => {
      const frame = track.frames[Math.max(0, track.nimgs.findLastIndex((nimg) => nimg <= nimgs[place]))];
      if (frames[i].src !== frame) frames[i].src = frame;
    });
    markers.forEach((marker) => { marker.style.left = `${x}%`; });
    readings.forEach((reading, i) => { reading.textContent = values[i][place]; });
  }

  function go(place) {
    stop();
    show(Math.min(Math.max(place, 0), moments.length - 1));
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  }

  function toggle() {
    if (timer) return stop();
    if (+scrubber.value === moments.length - 1) show(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      show(+scrubber.value + 1);
      if (+scrubber.value === moments.length - 1) stop();
    }, STEP_MS);
  }

  play.addEventListener("click", toggle);
  scrubber.addEventListener("input", () => go(+scrubber.value));
  document.addEventListener("keydown", (event) => {
    const taken = event.target.closest("button, input, summary, [tabindex]");
    if (taken || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = { " ": toggle, ArrowLeft: () => go(+scrubber.value - 1), ArrowRight: () => go(+scrubber.value + 1) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  document.querySelectorAll(".plot").forEach((plot) => plot.addEventListener("pointerdown", (event) => {
    const { left, width } = plot.getBoundingClientRect();
    const distances = moments.map(({ x }) => Math.abs(x - (100 * (event.clientX - left)) / width));
    go(distances.indexOf(Math.min(...distances)));
  }));
})();
