// The table of all roots: filtered, sorted and grouped here.
(function () {
  "use strict";

  var block = document.getElementById("data");
  if (!block) return;

  var STEP = 150; // lines that are there before more are asked for
  var FIRST = 30; // those of them that are drawn before the next frame: a screen's worth
  var FOLD_OVER = 200; // with more roots than this groups begin folded
  var told = JSON.parse(block.textContent);

  // What a column sorts by, and whether its most telling end comes first when turned around.
  var COLUMNS = {
    verdict: { of: function (row) { return row.standing; } },
    repo: { of: function (row) { return row.repo; }, text: true },
    root: { of: function (row) { return row.root; }, text: true },
    variant: { of: function (row) { return row.variant; }, text: true },
    age: { of: function (row) { return row.since === null ? null : told.at - row.since; }, turned: true },
    changes: { of: function (row) { return row.total || null; }, turned: true },
    checked: { of: function (row) { return row.checked === null ? null : told.at - row.checked; }, turned: true },
    error: { of: function (row) { return row.error || null; }, text: true }
  };

  var table = at("table");
  var drawing = driftfleet.rows(told, table.dataset.staleAfter);
  var standings = drawing.standings;
  var rows = drawing.all;
  var order = rank();
  var address = driftfleet.address(told, Object.keys(COLUMNS));
  var EMPTY = address.EMPTY;
  var state = address.copy(EMPTY);
  var unlike = new Set(); // repositories that are not folded as the others are
  var limit = STEP;
  var pending = []; // lines that are planned and not drawn yet

  var controls = at("controls");
  var heads = Array.from(table.tHead.rows[0].cells);
  var chips = Array.from(controls.querySelectorAll("input[name=v]"));

  function at(id) { return document.getElementById(id); }

  // The place of every text in the alphabet: comparing numbers is a hundred times as fast as collating.
  function rank() {
    var known = new Set();
    rows.forEach(function (row) { known.add(row.repo).add(row.root).add(row.variant).add(row.error); });
    var places = new Map();
    var collator = new Intl.Collator("en", { numeric: true });
    Array.from(known).sort(collator.compare).forEach(function (text, place) { places.set(text, place); });
    return places;
  }

  // Typing leaves one entry for the whole word, everything else one for each step.
  var isTyping = false;
  function change(how, typed) {
    var next = address.copy(state);
    how(next);
    var hash = address.write(next);
    if (hash !== address.write(state)) {
      var url = location.pathname + location.search + (hash ? "#" + hash : "");
      history[typed && isTyping ? "replaceState" : "pushState"](null, "", url);
    }
    isTyping = Boolean(typed);
    go(next);
  }

  function go(next) {
    if (next.fold !== state.fold) unlike.clear();
    state = next;
    limit = STEP;
    show();
  }

  // -- what is shown -------------------------------------------------------------------------------

  function matching() {
    var words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    var wanted = new Set(state.v);
    return rows.filter(function (row) {
      return (!wanted.size || wanted.has(standings[row.standing].name)) &&
        (!state.e || row.error === state.e) && (!state.stale || row.isStale) && (!state.new || row.isNew) &&
        words.every(function (word) { return row.text.includes(word); });
    });
  }

  // Rows come in the order of need: it decides between equals. What has no value is last either way.
  function sorted(found) {
    if (state.sort === EMPTY.sort && !state.turned) return found;
    var column = COLUMNS[state.sort];
    var turn = state.turned ? -1 : 1;
    var keyed = found.map(function (row) {
      var value = column.of(row);
      return { row: row, key: value !== null && column.text ? order.get(value) : value };
    });
    keyed.sort(function (one, other) {
      if (one.key === null || other.key === null) return (one.key === null) - (other.key === null) || one.row.number - other.row.number;
      return turn * (one.key - other.key) || one.row.number - other.row.number;
    });
    return keyed.map(function (one) { return one.row; });
  }

  function grouped(found) {
    var groups = new Map();
    found.forEach(function (row) {
      if (!groups.has(row.group)) groups.set(row.group, []);
      groups.get(row.group).push(row);
    });
    return groups;
  }

  function isFolded(group, count) {
    var folded = state.fold === null ? count > FOLD_OVER : state.fold;
    return unlike.has(group) ? !folded : folded;
  }

  function show(atOnce) {
    var found = sorted(matching());
    var groups = state.flat ? null : grouped(found);
    pending = [];
    var lines = groups ? planGroups(groups, found.length) : planRows(found);
    if (!found.length) plan(drawing.section(), function () { return drawing.nothing(state.flat ? 8 : 7); });
    table.replaceChildren(table.tHead);
    table.classList.toggle("grouped", !state.flat);
    draw(atOnce ? pending.length : FIRST);
    tell(found.length, groups && groups.size, lines - limit);
    mark(found.length);
  }

  // What is planned is drawn in its order; both return how many lines there would be without the limit.
  function plan(part, make) {
    if (pending.length < limit) pending.push([part, make]);
  }

  function planRows(found) {
    var part = drawing.section();
    found.slice(0, limit).forEach(function (row) { plan(part, function () { return drawing.line(row); }); });
    return found.length;
  }

  function planGroups(groups, found) {
    var lines = 0;
    groups.forEach(function (members, group) {
      var part = drawing.section();
      var folded = isFolded(group, found);
      lines += 1 + (folded ? 0 : members.length);
      plan(part, function () { return drawing.head(group, members, folded); });
      if (folded || pending.length >= limit) return;
      members.forEach(function (row) { plan(part, function () { return drawing.line(row); }); });
    });
    return lines;
  }

  function draw(count) {
    var now = pending.splice(0, count);
    now.forEach(function (one) {
      one[0].append(one[1]());
      if (!one[0].isConnected) table.append(one[0]);
    });
    table.setAttribute("aria-busy", String(pending.length > 0));
    var rest = pending;
    if (rest.length) requestAnimationFrame(function () {
      setTimeout(function () { if (rest === pending) draw(FIRST); });
    });
  }

  function counted(count, one, many) { return count.toLocaleString("en") + " " + (count === 1 ? one : many); }

  function tell(found, groups, left) {
    var all = counted(rows.length, "root", "roots");
    var said = found === rows.length ? all : found.toLocaleString("en") + " of " + all + (found === 1 ? " matches" : " match");
    at("matches").textContent = said + (groups ? ", in " + counted(groups, "repository", "repositories") : "");
    at("rest").hidden = left <= 0;
    at("more").textContent = "Show " + Math.min(STEP, Math.max(left, 0)) + " more of " + (left > 0 ? left.toLocaleString("en") : 0) + " lines";
  }

  // -- controls ------------------------------------------------------------------------------------

  function mark(found) {
    if (at("q").value !== state.q) at("q").value = state.q;
    chips.forEach(function (chip) { chip.checked = state.v.includes(chip.value); });
    at("e").value = state.e;
    at("stale").checked = state.stale;
    at("new").checked = state.new;
    at("sort").value = state.sort;
    at("flat").checked = state.flat;
    at("turn").textContent = state.turned ? "descending" : "ascending";
    var folded = state.fold === null ? found > FOLD_OVER : state.fold;
    at("fold").textContent = folded ? "Unfold all" : "Fold all";
    at("fold").dataset.next = folded ? "0" : "1";
    at("fold").hidden = state.flat;
    heads.forEach(function (one) {
      if (one.dataset.sort === state.sort) one.setAttribute("aria-sort", state.turned ? "descending" : "ascending");
      else one.removeAttribute("aria-sort");
    });
  }

  function sortBy(name) {
    change(function (next) {
      next.turned = next.sort === name ? !next.turned : Boolean(COLUMNS[name].turned);
      next.sort = name;
    });
  }

  function listen() {
    heads.forEach(function (one) {
      var button = drawing.element("button", { type: "button", class: "sorter" }, Array.from(one.childNodes));
      button.addEventListener("click", function () { sortBy(one.dataset.sort); });
      one.replaceChildren(button);
    });
    at("q").addEventListener("input", function () {
      change(function (next) { next.q = at("q").value; }, true);
    });
    at("q").addEventListener("blur", function () { isTyping = false; });
    controls.addEventListener("change", function (event) {
      if (event.target === at("q")) return;
      if (event.target === at("sort")) {
        sortBy(at("sort").value);
        return;
      }
      change(function (next) {
        next.v = chips.filter(function (chip) { return chip.checked; }).map(function (chip) { return chip.value; });
        next.e = at("e").value;
        next.stale = at("stale").checked;
        next.new = at("new").checked;
        next.flat = at("flat").checked;
      });
    });
    at("turn").addEventListener("click", function () { sortBy(state.sort); });
    at("fold").addEventListener("click", function () {
      unlike.clear();
      change(function (next) { next.fold = at("fold").dataset.next === "1"; });
    });
    at("reset").addEventListener("click", function () {
      unlike.clear();
      change(function (next) { Object.assign(next, address.copy(EMPTY)); });
    });
    at("more").addEventListener("click", function () {
      var before = table.rows.length;
      limit += STEP;
      show(true);
      var next = table.rows[before];
      var target = next && next.querySelector("a, button");
      if (target) target.focus();
    });
    table.addEventListener("click", function (event) {
      var button = event.target.closest("button.group");
      if (!button) return;
      var group = Number(button.dataset.group);
      if (!unlike.delete(group)) unlike.add(group);
      show(true);
      var again = table.querySelector('button.group[data-group="' + group + '"]');
      if (again) again.focus();
    });
    window.addEventListener("popstate", follow);
    document.addEventListener("click", function (event) {
      var link = event.target.closest("a[data-filter]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      change(function (next) { Object.assign(next, address.parse(link.hash)); });
      reveal();
      at("roots-head").focus({ preventScroll: true });
    });
  }

  function reveal() { at("roots").scrollIntoView(); }

  function follow() {
    isTyping = false;
    if (!address.isState(location.hash)) return;
    unlike.clear();
    go(address.parse(location.hash));
  }

  // On a narrow screen what is seldom needed is folded away.
  var wide = matchMedia("(min-width: 56.01rem)");
  function fit() { at("options").open = wide.matches; }

  wide.addEventListener("change", fit);
  fit();
  listen();
  controls.hidden = false;
  if (address.isState(location.hash)) state = address.parse(location.hash);
  show();
  if (location.hash.includes("=")) reveal();
})();
