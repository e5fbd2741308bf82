// On pages that last: how long ago things were, and whether a judgement is too old, as of now.
(function () {
  "use strict";

  function since(text) {
    return (Date.now() - Date.parse(text)) / 1000;
  }

  document.querySelectorAll("time.when").forEach(function (time) {
    var ago = document.createElement("span");
    ago.className = "ago";
    ago.textContent = " (" + driftfleet.length(Math.max(0, since(time.dateTime))) + " ago)";
    time.after(ago);
  });

  var stale = document.getElementById("stale");
  if (!stale) return;
  var seconds = since(stale.dataset.since);
  if (seconds <= Number(stale.dataset.after)) return;
  stale.textContent = stale.dataset.wasJudged === "yes"
    ? "Stale: nothing has judged this root for " + driftfleet.length(seconds) + "."
    : "Stale: nothing has ever judged this root, which was met " + driftfleet.length(seconds) + " ago.";
  stale.hidden = false;
})();
