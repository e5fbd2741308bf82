// The table's rows: what the data says of a root, and the elements that show it. Names are only ever text.
driftfleet.rows = function (told, staleAfter) {
  "use strict";

  var standings = told.standings.map(function (one) {
    return { name: one[0], word: one[1], sign: one[2] };
  });

  function read(one, number) {
    var repo = told.repos[one[0]];
    var standing = standings[one[3]];
    var kind = one[7] < 0 ? "" : told.kinds[one[7]];
    var row = {
      number: number, group: one[0], repo: repo[0], root: one[1], variant: one[2], standing: one[3],
      since: one[4], checked: one[5], changes: one[6], error: kind, isStale: Boolean(one[8] & 1),
      isNew: Boolean(one[8] & 2), page: one[9] && repo[1] + one[9]
    };
    row.total = row.changes.reduce(function (sum, count) { return sum + count; });
    row.text = [row.repo, row.root, row.variant, kind, standing.word].join("\n").toLowerCase();
    return row;
  }

  function element(name, options, children) {
    var made = document.createElement(name);
    Object.keys(options || {}).forEach(function (key) { made.setAttribute(key, options[key]); });
    (children || []).forEach(function (child) { made.append(child); });
    return made;
  }

  function section() { return element("tbody", { role: "rowgroup" }); }
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
    return ["drifted", "add", "change", "destroy", "output"].map(function (word, place) {
      var count = changes[place];
      if (!count) return "";
      return count.toLocaleString("en") + " " + word + (word === "output" && count > 1 ? "s" : "");
    }).filter(Boolean).join(" · ");
  }

  function line(row) {
    var name = isolated(row.root);
    var checked = [ago(row.checked)];
    if (row.isStale) checked.push(" ", element("span", { class: "stale", title: "nothing has judged it within " + staleAfter }, ["stale"]));
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

  function nothing(columns) {
    var said = told.rows.length ? "No root matches. Reset shows all of them." : "There are no roots yet.";
    return element("tr", { role: "row" }, [element("td", { role: "cell", colspan: columns, class: "none" }, [said])]);
  }

  return {
    standings: standings, all: told.rows.map(read), element: element, section: section, line: line, head: head, nothing: nothing
  };
};
