// What the other parts of the script share.
var driftfleet = {};

driftfleet.length = function (seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  if (seconds < 172800) return Math.floor(seconds / 3600) + " h";
  return Math.floor(seconds / 86400) + " d";
};

// What every page does: it tells how old it is.
(function () {
  "use strict";

  function tellAge() {
    var made = Date.parse(document.body.dataset.made);
    var seconds = Math.max(0, (Date.now() - made) / 1000);
    document.getElementById("made-ago").textContent = ", " + driftfleet.length(seconds) + " ago";
    if (seconds <= Number(document.body.dataset.oldAfter)) return;
    var old = document.getElementById("old");
    var said = "This page is " + driftfleet.length(seconds) + " old. The fleet may look different by now.";
    if (old.textContent !== said) old.textContent = said;
    old.hidden = false;
  }

  // A page that lasts is right however long ago it was made.
  if (document.body.dataset.made) {
    tellAge();
    setInterval(tellAge, 60000);
  }
})();
