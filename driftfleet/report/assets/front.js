// The table of all roots: filtered, sorted and grouped here, its state in the address.
(function () {
  "use strict";

  var block = document.getElementById("data");
  if (!block) return;

  var STEP = 150; // rows that are drawn at once
  var FOLD_OVER = 200; // with more roots than this groups begin folded
  var told = JSON.parse(block.textContent);
  var standings = told.standings.map(function (one) {
    return { name: one[0], word: one[1], sign: one[2] };
  });
  var rows = told.rows.map(read);
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
  var EMPTY = { q: "", v: [], e: "", stale: false, new: false, sort: "verdict", turned: false, flat: false, fold: null };
  var state = copy(EMPTY);
  var unlike = new Set(); // repositories that are not folded as the others are
  var limit = STEP;
  var collator = new Intl.Collator("en", { numeric: true });
  var order = rank();

  var table = at("table");
  var controls = at("controls");
  var heads = Array.from(table.tHead.rows[0].cells);
  var chips = Array.from(controls.querySelectorAll("input[name=v]"));

  function at(id) { return document.getElementById(id); }
  function copy(one) { return Object.assign({}, one, { v: one.v.slice() }); }

  function read(one, number) {
    var repo = told.repos[one[0]];
    var standing = standings[one[3]];
    var kind = one[7] < 0 ? "" : told.kinds[one[7]];
    var row = {
      number: number, group: one[0], repo: repo[0], root: one[1], variant: one[2], standing: one[3],
      since: one[4], checked: one[5], changes: one[6], error: kind, isStale: Boolean(one[8] & 1),
      isNew: Boolean(one[8] & 2), page: one[9] && repo[1] + one[9]
    };
    row.total = row.changes[0] + row.changes[1] + row.changes[2] + row.changes[3];
    row.text = [row.repo, row.root, row.variant, kind, standing.word].join("\n").toLowerCase();
    return row;
  }

  // The place of every text in the alphabet: comparing numbers is a hundred times as fast as collating.
  function rank() {
    var known = new Set();
    rows.forEach(function (row) { known.add(row.repo).add(row.root).add(row.variant).add(row.error); });
    var places = new Map();
    Array.from(known).sort(collator.compare).forEach(function (text, place) { places.set(text, place); });
    return places;
  }

  // -- the address ---------------------------------------------------------------------------------

  function parse(hash) {
    var found = new URLSearchParams(hash.replace(/^#/, ""));
    var next = copy(EMPTY);
    next.q = found.get("q") || "";
    next.v = (found.get("v") || "").split(",").filter(function (name) {
      return standings.some(function (one) { return one.name === name; });
    });
    next.e = told.kinds.includes(found.get("e")) ? found.get("e") : "";
    next.stale = found.get("stale") === "1";
    next.new = found.get("new") === "1";
    var sort = (found.get("sort") || "").split(".");
    if (Object.hasOwn(COLUMNS, sort[0])) {
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
    return parts.toString();
  }

  // Typing leaves one entry for the whole word, everything else one for each step.
  var isTyping = false;
  function change(how, typed) {
    var next = copy(state);
    how(next);
    var hash = write(next);
    if (hash !== write(state)) {
      var address = location.pathname + location.search + (hash ? "#" + hash : "");
      history[typed && isTyping ? "replaceState" : "pushState"](null, "", address);
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

  function show() {
    var found = sorted(matching());
    var groups = state.flat ? null : grouped(found);
    var parts = [];
    var lines = state.flat ? found.length : 0; // what there would be without the limit
    if (!found.length) parts.push(section([nothing()]));
    else if (state.flat) parts.push(section(found.slice(0, limit).map(line)));
    else groups.forEach(function (members, group) {
      var folded = isFolded(group, found.length);
      var room = limit - lines - 1;
      lines += 1 + (folded ? 0 : members.length);
      if (room < 0) return;
      parts.push(section([head(group, members, folded)].concat(folded ? [] : members.slice(0, room).map(line))));
    });
    table.replaceChildren.apply(table, [table.tHead].concat(parts));
    table.classList.toggle("grouped", !state.flat);
    tell(found.length, groups && groups.size, lines - limit);
    mark(found.length);
  }

  function counted(count, one, many) { return count.toLocaleString("en") + " " + (count === 1 ? one : many); }

  function tell(found, groups, left) {
    var all = counted(rows.length, "root", "roots");
    var said = found === rows.length ? all : found.toLocaleString("en") + " of " + all + (found === 1 ? " matches" : " match");
    at("matches").textContent = said + (groups ? ", in " + counted(groups, "repository", "repositories") : "");
    at("rest").hidden = left <= 0;
    at("more").textContent = "Show " + Math.min(STEP, Math.max(left, 0)) + " more of " + (left > 0 ? left.toLocaleString("en") : 0) + " lines";
  }

  // -- rows ----------------------------------------------------------------------------------------

  function element(name, options, children) {
    var made = document.createElement(name);
    Object.keys(options || {}).forEach(function (key) { made.setAttribute(key, options[key]); });
    (children || []).forEach(function (child) { made.append(child); });
    return made;
  }

  function section(lines) { return element("tbody", { role: "rowgroup" }, lines); }
  function cell(name, children) { return element("td", { role: "cell", class: "c-" + name }, children); }
  function isolated(text) { return element("bdi", {}, [text]); }

  function sign(standing) {
    return element("span", { class: "sign", "aria-hidden": "true" }, [standing.sign]);
  }

  function badge(standing) {
    return element("span", { class: "badge v-" + standing.name }, [sign(standing), standing.word]);
  }

  function length(seconds) {
    if (seconds < 60) return Math.max(seconds, 0) + " s";
    if (seconds < 3600) return Math.floor(seconds / 60) + " min";
    return seconds < 172800 ? Math.floor(seconds / 3600) + " h" : Math.floor(seconds / 86400) + " d";
  }

  function ago(when) {
    if (when === null) return element("span", { class: "none" }, ["never"]);
    var iso = new Date(when * 1000).toISOString();
    var title = iso.slice(0, 10) + " " + iso.slice(11, 16) + " UTC";
    return element("time", { datetime: iso.slice(0, 19) + "Z", title: title }, [length(told.at - when)]);
  }

  function summed(changes) {
    return ["drifted", "add", "change", "destroy"].map(function (word, place) {
      return changes[place] ? changes[place].toLocaleString("en") + " " + word : "";
    }).filter(Boolean).join(" · ");
  }

  function line(row) {
    var name = isolated(row.root);
    var checked = [ago(row.checked)];
    if (row.isStale) checked.push(" ", element("span", { class: "stale", title: "nothing has judged it within " + table.dataset.staleAfter }, ["stale"]));
    return element("tr", { role: "row" }, [
      cell("verdict", [badge(standings[row.standing])]),
      cell("repo", [isolated(row.repo)]),
      element("th", { role: "rowheader", scope: "row", class: "c-root" }, [row.page ? element("a", { href: row.page }, [name]) : name]),
      cell("variant", [isolated(row.variant)]),
      cell("age", row.since === null ? [] : [ago(row.since)]),
      cell("changes", [summed(row.changes)]),
      cell("checked", checked),
      cell("error", row.error ? [element("code", {}, [row.error])] : [])
    ]);
  }

  function head(group, members, folded) {
    var counts = standings.map(function () { return 0; });
    members.forEach(function (row) { counts[row.standing] += 1; });
    var badges = counts.map(function (count, place) {
      if (!count) return "";
      var one = standings[place];
      var word = element("span", { class: "word" }, [" " + one.word]);
      return element("span", { class: "badge v-" + one.name }, [sign(one), String(count), word]);
    }).filter(Boolean);
    var button = element("button", { type: "button", class: "group", "aria-expanded": String(!folded), "data-group": group }, [
      element("span", { class: "caret", "aria-hidden": "true" }, []), isolated(told.repos[group][0])
    ]);
    return element("tr", { role: "row", class: "head" }, [
      element("th", { role: "rowheader", scope: "rowgroup", colspan: 7 }, [button, element("span", { class: "counts" }, badges)])
    ]);
  }

  function nothing() {
    var said = rows.length ? "No root matches. Reset shows all of them." : "There are no roots yet.";
    return element("tr", { role: "row" }, [element("td", { role: "cell", colspan: state.flat ? 8 : 7, class: "none" }, [said])]);
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
      var button = element("button", { type: "button", class: "sorter" }, Array.from(one.childNodes));
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
      change(function (next) { Object.assign(next, copy(EMPTY)); });
    });
    at("more").addEventListener("click", function () {
      var before = table.rows.length;
      limit += STEP;
      show();
      var next = table.rows[before];
      var target = next && next.querySelector("a, button");
      if (target) target.focus();
    });
    table.addEventListener("click", function (event) {
      var button = event.target.closest("button.group");
      if (!button) return;
      var group = Number(button.dataset.group);
      if (!unlike.delete(group)) unlike.add(group);
      show();
      var again = table.querySelector('button.group[data-group="' + group + '"]');
      if (again) again.focus();
    });
    window.addEventListener("popstate", follow);
    document.addEventListener("click", function (event) {
      var link = event.target.closest("a[data-filter]");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      change(function (next) { Object.assign(next, parse(link.hash)); });
      reveal();
      at("roots-head").focus({ preventScroll: true });
    });
  }

  function isState(hash) { return hash === "" || hash === "#" || hash.includes("="); }
  function reveal() { at("roots").scrollIntoView(); }

  // A link to a place of the page, such as the skip link's, is no state of the table.
  function follow() {
    isTyping = false;
    if (!isState(location.hash)) return;
    unlike.clear();
    go(parse(location.hash));
  }

  // On a narrow screen what is seldom needed is folded away.
  var wide = matchMedia("(min-width: 56.01rem)");
  function fit() { at("options").open = wide.matches; }

  wide.addEventListener("change", fit);
  fit();
  listen();
  controls.hidden = false;
  if (isState(location.hash)) state = parse(location.hash);
  show();
  if (location.hash.includes("=")) reveal();
})();
