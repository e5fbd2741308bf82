// What the table shows, as words in the address.
driftfleet.address = function (told, columns) {
  "use strict";

  var EMPTY = { q: "", v: [], e: "", stale: false, new: false, sort: "verdict", turned: false, flat: false, fold: null };

  function copy(one) { return Object.assign({}, one, { v: one.v.slice() }); }

  function parse(hash) {
    var found = new URLSearchParams(hash.replace(/^#/, ""));
    var next = copy(EMPTY);
    next.q = found.get("q") || "";
    next.v = (found.get("v") || "").split(",").filter(function (name) {
      return told.standings.some(function (one) { return one[0] === name; });
    });
    next.e = told.kinds.includes(found.get("e")) ? found.get("e") : "";
    next.stale = found.get("stale") === "1";
    next.new = found.get("new") === "1";
    var sort = (found.get("sort") || "").split(".");
    if (columns.includes(sort[0])) {
      next.sort = sort[0];
      next.turned = sort[1] === "desc";
    }
    next.flat = found.get("flat") === "1";
    next.fold = found.has("fold") ? found.get("fold") === "1" : null;
    return next;
  }

  function write(one) {
    var parts = new URLSearchParams();
    if (one.q) parts.set("q", one.q);
    if (one.v.length) parts.set("v", one.v.join(","));
    if (one.e) parts.set("e", one.e);
    if (one.stale) parts.set("stale", "1");
    if (one.new) parts.set("new", "1");
    if (one.sort !== EMPTY.sort || one.turned) parts.set("sort", one.sort + (one.turned ? ".desc" : ""));
    if (one.flat) parts.set("flat", "1");
    if (one.fold !== null) parts.set("fold", one.fold ? "1" : "0");
    return parts.toString().replaceAll("%2C", ",");
  }

  // A link to a place of the page, such as the skip link's, is no state of the table.
  function isState(hash) { return hash === "" || hash === "#" || hash.includes("="); }

  return { EMPTY: EMPTY, copy: copy, parse: parse, write: write, isState: isState };
};
