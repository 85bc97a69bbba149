"use strict";
// Names come from the page as text and go back as text: nothing here makes HTML of a string.
{
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- the confusion matrix: a cell shows its images
  const panel = document.getElementById("cell");
  const matrix = document.getElementById("matrix");
  const openers = all("[data-cell]");
  const open = (name) => {
    const images = document.getElementById(name);
    if (!images) return;
    panel.replaceChildren(images.content.cloneNode(true));
    for (const one of openers) one.setAttribute("aria-pressed", String(one.dataset.cell === name));
  };
  for (const one of openers) {
    one.setAttribute("aria-pressed", "false");
    one.addEventListener("click", () => open(one.dataset.cell));
  }

  if (matrix) {
    const rows = all("[data-row]:not(button)", matrix);
    const columns = all("[data-column]:not(button)", matrix);
    const rowNames = rows.map((one) => one.title);
    const columnNames = columns.map((one) => one.title);
    const cells = all("button.cell", matrix);
    const place = cells.map((one) => [Number(one.dataset.row), Number(one.dataset.column)]);
    cells.forEach((one, index) => {
      const [row, column] = place[index];
      const words = row === column ? `${rowNames[row]}, rightly` : `${rowNames[row]} taken for ${columnNames[column]}`;
      one.setAttribute("aria-label", `${words}: ${one.dataset.count}`);
      one.title = `${words}: ${one.dataset.count}`;
      one.tabIndex = index ? -1 : 0; // one stop for Tab; arrows move on from there
    });

    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    matrix.addEventListener("keydown", (event) => {
      const at = cells.indexOf(event.target);
      const step = steps[event.key];
      if (at < 0 || !step) return;
      event.preventDefault();
      const along = step[0] ? 0 : 1;
      let best = -1;
      let nearest = Infinity;
      place.forEach((to, index) => {
        const ahead = (to[along] - place[at][along]) * (step[0] + step[1]);
        const aside = Math.abs(to[1 - along] - place[at][1 - along]);
        const distance = ahead + 1000 * aside; // the same row or column first
        if (ahead > 0 && distance < nearest) [best, nearest] = [index, distance];
      });
      if (best < 0) return;
      cells[at].tabIndex = -1;
      cells[best].tabIndex = 0;
      cells[best].focus();
    });

    const cluster = document.getElementById("cluster");
    cluster?.addEventListener("click", () => {
      const pressed = cluster.getAttribute("aria-pressed") !== "true";
      cluster.setAttribute("aria-pressed", String(pressed));
      const order = cluster.dataset.order.split(" ").map(Number);
      const at = order.map((_, code) => code);
      if (pressed) order.forEach((code, index) => { at[code] = index; });
      rows.forEach((one, code) => { one.style.gridArea = `${at[code] + 2} / 1`; });
      columns.forEach((one, code) => { one.style.gridArea = `1 / ${at[code] + 2}`; });
      cells.forEach((one, index) => {
        place[index] = [at[Number(one.dataset.row)], at[Number(one.dataset.column)]];
        one.style.gridArea = `${place[index][0] + 2} / ${place[index][1] + 2}`;
      });
    });
  }

  const first = openers.find((one) => one.classList.contains("pill"));
  if (first) open(first.dataset.cell);

  // --- tables: a heading sorts
  const key = (row, column) => {
    const { value } = row.cells[column].dataset;
    if (value === undefined) return row.cells[column].textContent;
    return value === "" ? NaN : Number(value);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  for (const table of all("table.sortable")) {
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const down = before === "none" ? column > 0 : before === "ascending"; // numbers: the largest first
        for (const one of heads) one.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
        keyed.sort(([a], [b]) => {
          if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // unknown is last
          return down ? compare(b, a) : compare(a, b);
        });
        table.tBodies[0].append(...keyed.map(([, row]) => row));
      });
    });
  }

  // --- heat or picture
  const heat = document.getElementById("heat");
  heat?.addEventListener("click", () => {
    const pressed = heat.getAttribute("aria-pressed") !== "true";
    heat.setAttribute("aria-pressed", String(pressed));
    document.getElementById("hardest").classList.toggle("heated", pressed);
  });
}
