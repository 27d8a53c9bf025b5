"use strict";
// Tables sort by a click on a heading; those with data-filter columns can be narrowed. Nothing else.
const number = (text) => parseFloat(text.replace("\u2212", "-").replace(/^[<+\s]+/, ""));
const value = (row, column) => {
  const cell = row.cells[column];
  return (cell.firstChild ? cell.firstChild.textContent : "").trim();
};

function sort(table, head, column) {
  const up = head.getAttribute("aria-sort") !== "ascending";
  const rows = [...table.tBodies[0].rows];
  const empty = (text) => text === "\u2013" || text === "";
  const known = rows.map((row) => value(row, column)).filter((text) => !empty(text));
  const numeric = known.every((text) => !Number.isNaN(number(text)));
  const compare = (a, b) => numeric
    ? number(a) - number(b) : a.localeCompare(b, undefined, { numeric: true });
  rows.sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    const last = empty(a) - empty(b); // missing values stay below
    return last || (up ? compare(a, b) : compare(b, a));
  });
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows].pop().cells;
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.title = "sort by this column";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(table, head, column));
    head.append(button);
  });
}

// One bar of choices per section; a choice applies to every table of the section that has the column.
function bar(section) {
  const columns = new Map(); // heading -> [[table, column]]
  for (const head of section.querySelectorAll("th[data-filter]")) {
    const name = head.textContent.trim();
    if (!columns.has(name)) columns.set(name, []);
    columns.get(name).push([head.closest("table"), head.cellIndex]);
  }
  const chosen = new Map();
  const box = document.createElement("div");
  box.className = "filters";
  const apply = () => {
    for (const table of new Set([...columns.values()].flat().map(([each]) => each))) {
      const wanted = [...chosen].map(([name, text]) =>
        [(columns.get(name).find(([each]) => each === table) || [])[1], text]);
      for (const row of table.tBodies[0].rows) {
        row.hidden = !wanted.every(([column, text]) =>
          !text || column === undefined || value(row, column) === text);
      }
    }
  };
  for (const [name, places] of columns) {
    const texts = new Set();
    for (const [table, column] of places) {
      for (const row of table.tBodies[0].rows) texts.add(value(row, column));
    }
    if (texts.size < 2) continue;
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.append(name, select);
    select.append(new Option("all", ""), ...[...texts].map((text) => new Option(text)));
    select.addEventListener("change", () => { chosen.set(name, select.value); apply(); });
    box.append(label);
  }
  if (box.children.length) section.querySelector("h2").after(box);
}
for (const section of document.querySelectorAll("section")) {
  if (section.querySelector("th[data-filter]")) bar(section);
}

// A link into a folded part opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let each = target; each; each = each.parentElement) {
    if (each.tagName === "DETAILS") each.open = true;
  }
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.long)")) each.open = true;
});
